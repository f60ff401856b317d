/** Bindings of the edge Worker, as wrangler.toml declares them. */
export interface Env {
  readonly MODELS: R2Bucket;
  readonly CATALOG: KVNamespace;
  readonly MODEL_BUDGET_BYTES: string;
  /** A secret: `npx wrangler secret put ADMIN_TOKEN`. */
  readonly ADMIN_TOKEN?: string;
}
