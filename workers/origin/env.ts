/** Bindings of the origin Worker, as wrangler.toml declares them. */
export interface Env {
  readonly CATALOG: KVNamespace;
  /**
   * A secret: `npx wrangler secret put SIGNING_KEY --config workers/origin/wrangler.toml`. An Ed25519 private key
   * as a JWK, whose `kid` is what the endpoints call its public half. Not needed where no pool wants signatures.
   */
  readonly SIGNING_KEY?: string;
}
