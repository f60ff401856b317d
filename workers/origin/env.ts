/** Bindings of the origin Worker, as wrangler.toml declares them. */
export interface Env {
  readonly CATALOG: KVNamespace;
  /**
   * A secret: `npx wrangler secret put SIGNING_KEY --config workers/origin/wrangler.toml`. An Ed25519 private key
   * as a JWK, whose `kid` is what the endpoints call its public half. Not needed where no pool wants signatures.
   */
  readonly SIGNING_KEY?: string;
  /**
   * `"true"` lets `GET /pools` tell what this isolate knows of its pools. For proofs and benchmarks, which give the
   * Worker a socket of its own: where it is deployed, only the edge reaches it, and nobody asks.
   */
  readonly REPORT_POOLS?: string;
  // Secrets that endpoints name as their `secretRef`, ORIGIN_SECRET_…, are there too, under names of the operator's.
}
