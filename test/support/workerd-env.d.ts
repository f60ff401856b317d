declare namespace Cloudflare {
  interface Env {
    MODELS: R2Bucket;
    CATALOG: KVNamespace;
    MODEL_BUDGET_BYTES: string;
  }
}
