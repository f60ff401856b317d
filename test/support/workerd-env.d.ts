declare namespace Cloudflare {
  interface Env {
    MODELS: R2Bucket;
    CATALOG: KVNamespace;
    MODEL_BUDGET_BYTES: string;
    /** What the set-up of the tests wrote for those inside workerd. */
    TEST_FILES: Fetcher;
  }
}
