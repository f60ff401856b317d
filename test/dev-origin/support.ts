import { createHash } from "node:crypto";

import { withVersion } from "../../src/catalog/catalog.ts";
import { changeCatalog } from "../../src/catalog/changes.ts";
import type { BlobRef, Manifest } from "../../src/catalog/manifest.ts";
import { type DevOriginOptions, startDevOrigin } from "../../src/dev-origin/server.ts";
import { encode, END, VOCABULARY } from "../../models/scribe/alphabet.ts";
import { signature } from "../../src/publish/onnx/signature.ts";
import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import { blobKey, manifestKey } from "../../src/store/layout.ts";
import { manifestOf } from "../support/manifests.ts";
import { MemoryBucket, MemoryNamespace } from "../support/memory-bucket.ts";

/** What each test of the development origin publishes to. */
export class Shop {
  readonly bucket = new MemoryBucket();
  readonly namespace = new MemoryNamespace();

  async blob(bytes: Uint8Array): Promise<BlobRef> {
    const digest = createHash("sha256").update(bytes).digest("hex");
    await this.bucket.put(blobKey(digest), bytes);
    return { digest, bytes: bytes.length };
  }

  async publish(overrides: Partial<Manifest>): Promise<Manifest> {
    const manifest = manifestOf(overrides);
    const { name, version } = manifest;
    await this.bucket.put(manifestKey(name, version), JSON.stringify(manifest));
    await changeCatalog(this, { by: "the test", change: "a model", now: 0 }, (source) =>
      withVersion(source, manifest),
    );
    return manifest;
  }

  /** `y = factor · x`, of any datatype that Mul takes. */
  async publishScale(name: string, version: number, factor: number): Promise<Manifest> {
    const graph = new GraphBuilder("scale");
    const x = graph.input("x", "FP32", ["batch", 2]);
    graph.output(graph.op("Mul", [x, graph.floats("factor", [factor])], {}, "y"), "FP32", [
      "batch",
      2,
    ]);
    return this.publishOnnx(graph.toBytes(), { name, version });
  }

  /** Writes abcabc… for ever; after a z, it ends. */
  async publishAlphabet(name: string, contextCharacters: number): Promise<Manifest> {
    const table = new Float32Array(VOCABULARY * VOCABULARY);
    const follows = (token: number, next: number) => (table[token * VOCABULARY + next] = 10);
    const [a = 0, b = 0, c = 0, z = 0] = encode("abcz");
    for (let token = 0; token < VOCABULARY; token++) {
      follows(token, token === a ? b : token === b ? c : token === z ? END : a);
    }
    const graph = new GraphBuilder("alphabet");
    const token = graph.input("token", "INT64", ["batch", "length"]);
    const state = graph.input("state", "FP32", [1, "batch", 1]);
    const logits = graph.floats("table", table, [VOCABULARY, VOCABULARY]);
    const shape = ["batch", "length", VOCABULARY];
    graph.output(graph.op("Gather", [logits, token], {}, "logits"), "FP32", shape);
    graph.output(graph.op("Identity", [state], {}, "next_state"), "FP32", [1, "batch", 1]);
    return this.publishOnnx(graph.toBytes(), {
      name,
      task: { type: "text-generation", contextCharacters },
    });
  }

  async publishOnnx(onnx: Uint8Array, overrides: Partial<Manifest>): Promise<Manifest> {
    return this.publish({ ...overrides, graph: await this.blob(onnx), ...signature(onnx) });
  }
}

/** A development origin on a free port, and how to ask it. */
export async function openOrigin(shop: Shop, options: Partial<DevOriginOptions> = {}) {
  const origin = await startDevOrigin({
    port: 0,
    bucket: shop.bucket,
    keys: undefined,
    ...options,
  });
  const ask = async (path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const response = await fetch(origin.url + path, {
      ...(body !== undefined && {
        method: "POST",
        body: body instanceof Uint8Array ? new Uint8Array(body) : JSON.stringify(body),
      }),
      headers,
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: jsonOf(text) };
  };
  return { ...origin, ask };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
