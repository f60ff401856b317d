/** Where the control plane keeps a pool. */
export const poolPath = (pool: string): string => `/v1/pools/${encodeURIComponent(pool)}`;
