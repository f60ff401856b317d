import { createHash } from "node:crypto";
import { appendFile, mkdir, readFile, truncate } from "node:fs/promises";
import path from "node:path";

import type { Manifest } from "../../catalog/manifest.ts";
import { partsOf } from "../../catalog/parts.ts";
import { GENERATED } from "../workspace.ts";

const DIGEST_BYTES = 32;
const FLOAT_BYTES = 4;

/**
 * Vectors that a version of a model has made already, on this machine: 100,000 texts take a quarter of an hour,
 * and whoever is interrupted, or changes a few lines, does not begin anew. Each record is the SHA-256 of a text
 * and its float32; half a record at the end is cut off.
 */
export class VectorStore {
  readonly #file: string;
  readonly #known = new Map<string, Float32Array>();

  private constructor(file: string) {
    this.#file = file;
  }

  static async open(
    manifest: Manifest,
    dimensions: number,
    folder = path.join(GENERATED, "vectors"),
  ): Promise<VectorStore> {
    const build = createHash("sha256");
    for (const { part, digest } of partsOf(manifest)) {
      // Where the memory of its session begins changes no vector.
      if (!part.endsWith("snapshot")) build.update(digest);
    }
    const name = `${manifest.name}-${build.digest("hex").slice(0, 16)}.vectors`;
    const store = new VectorStore(path.join(folder, name));
    await store.#read(dimensions);
    return store;
  }

  get(text: string): Float32Array | undefined {
    return this.#known.get(keyOf(text));
  }

  async add(texts: readonly string[], vectors: readonly Float32Array[]): Promise<void> {
    const records = texts.flatMap((text, index) => {
      const vector = vectors[index] ?? new Float32Array();
      this.#known.set(keyOf(text), vector);
      return [digestOf(text), Buffer.from(Float32Array.from(vector).buffer)];
    });
    await mkdir(path.dirname(this.#file), { recursive: true });
    await appendFile(this.#file, Buffer.concat(records));
  }

  async #read(dimensions: number): Promise<void> {
    const bytes = await readFile(this.#file).catch(() => undefined);
    if (bytes === undefined) return;
    const length = DIGEST_BYTES + dimensions * FLOAT_BYTES;
    const whole = bytes.length - (bytes.length % length);
    if (whole < bytes.length) await truncate(this.#file, whole);
    for (let at = 0; at < whole; at += length) {
      const vector = new Float32Array(dimensions);
      new Uint8Array(vector.buffer).set(bytes.subarray(at + DIGEST_BYTES, at + length));
      this.#known.set(bytes.toString("latin1", at, at + DIGEST_BYTES), vector);
    }
  }
}

function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

const keyOf = (text: string): string => digestOf(text).toString("latin1");
