import type { BlobRef, Manifest } from "../catalog/manifest.ts";
import { taskFor } from "./index.ts";
import type { TaskTools } from "./tools.ts";

/** Reads the assets; `BlobStore` is one. */
export interface AssetReader<C> {
  read(ref: BlobRef, context: C): Promise<Uint8Array>;
}

/** One for the version that most requests are for, and one for its canary. */
const MAX_KEPT = 2;

/**
 * Resources that stand beside the host's budget of 96 MB in the isolate's 128: two tables of MiniLM's
 * tokenizer take 16 MB of them (as `memory.taskBytes` counts), and more is not kept.
 */
const MAX_KEPT_BYTES = 24 * 1024 * 1024;

interface Kept {
  readonly bytes: number;
  readonly resources: unknown;
}

/**
 * What tasks need where their model is not loaded, because the tensors are computed elsewhere: tokenizers,
 * read from the bucket and kept for the requests to come.
 */
export class TaskResources<C> {
  readonly #assets: AssetReader<C>;
  readonly #tools: TaskTools;
  /** In order of last use, the oldest first. */
  readonly #kept = new Map<string, Kept>();

  constructor(assets: AssetReader<C>, tools: TaskTools) {
    this.#assets = assets;
    this.#tools = tools;
  }

  /** @throws NearsideError `model_damaged`, `model_unavailable` */
  async of(manifest: Manifest, context: C): Promise<unknown> {
    const key = `${manifest.name}/${manifest.version}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) {
      this.#keep(key, kept);
      return kept.resources;
    }
    // No promise is shared between requests: one that dies with its request would leave the others waiting.
    const assets = await Promise.all(
      Object.entries(manifest.assets).map(
        async ([name, ref]) => [name, await this.#assets.read(ref, context)] as const,
      ),
    );
    const resources = taskFor(manifest)?.prepare(Object.fromEntries(assets), this.#tools);
    this.#keep(key, { resources, bytes: manifest.memory.taskBytes });
    return resources;
  }

  /** What is kept, in bytes. */
  get heldBytes(): number {
    return this.#kept.values().reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #keep(key: string, kept: Kept): void {
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    for (const [oldest] of this.#kept) {
      if (this.#kept.size <= MAX_KEPT && this.heldBytes <= MAX_KEPT_BYTES) break;
      this.#kept.delete(oldest);
    }
  }
}
