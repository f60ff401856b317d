import { env } from "cloudflare:workers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { BlobRef } from "../../../src/catalog/manifest.ts";
import { type BlobBucket, BlobStore } from "../../../src/store/blobs.ts";
import { blobCacheUrl, blobKey } from "../../../src/store/layout.ts";
import { putBlob } from "../../support/publish-graph.ts";

function bytesOf(length: number, seed: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + seed * 17 + (index >> 8)) & 0xff);
}

/** Collects what a request would keep alive, so that a test can wait for it. */
function contextOf() {
  const background: Promise<unknown>[] = [];
  return {
    waitUntil: (promise: Promise<unknown>) => void background.push(promise),
    done: () => Promise.all(background),
  };
}

async function read(store: BlobStore, ref: BlobRef): Promise<Uint8Array> {
  const context = contextOf();
  const bytes = await store.read(ref, context);
  await context.done();
  return bytes;
}

/** A bucket whose first answers are replaced. */
function faulty(...faults: ((key: string) => ReturnType<BlobBucket["get"]>)[]): BlobBucket {
  return { get: (key) => faults.shift()?.(key) ?? env.MODELS.get(key) };
}

function brokenOff(bytes: Uint8Array, at: number): ReadableStream<Uint8Array> {
  let sent = false;
  return new ReadableStream({
    pull(controller) {
      if (sent) controller.error(new Error("connection reset"));
      else controller.enqueue(bytes.slice(0, at));
      sent = true;
    },
  });
}

describe("BlobStore", () => {
  it("reads from R2 once, then from the data centre's cache", async () => {
    const bytes = bytesOf(300_000, 1);
    const ref = await putBlob(env.MODELS, bytes);
    const store = new BlobStore(env.MODELS, caches.default);
    expect(await read(store, ref)).toEqual(bytes);
    expect(await read(store, ref)).toEqual(bytes);
    expect(store.stats).toEqual({ cacheHits: 1, bucketReads: 1, repairs: 0 });
  });

  it("drops a damaged copy from the cache and repairs it from R2", async () => {
    const bytes = bytesOf(100_000, 2);
    const ref = await putBlob(env.MODELS, bytes);
    const damaged = bytes.slice();
    damaged[50_000] = (damaged[50_000] ?? 0) ^ 1;
    await caches.default.put(
      blobCacheUrl(ref.digest),
      new Response(damaged, { headers: { "cache-control": "max-age=600" } }),
    );
    const store = new BlobStore(env.MODELS, caches.default);
    expect(await read(store, ref)).toEqual(bytes);
    expect(store.stats).toEqual({ cacheHits: 1, bucketReads: 1, repairs: 1 });
    expect(await read(store, ref)).toEqual(bytes);
    expect(store.stats).toEqual({ cacheHits: 2, bucketReads: 1, repairs: 1 });
  });

  it("reads once more when R2 breaks off halfway", async () => {
    const bytes = bytesOf(100_000, 3);
    const ref = await putBlob(env.MODELS, bytes);
    const bucket = faulty(() =>
      Promise.resolve({ body: brokenOff(bytes, 40_000), size: bytes.length }),
    );
    const store = new BlobStore(bucket, caches.default);
    expect(await read(store, ref)).toEqual(bytes);
    expect(store.stats).toEqual({ cacheHits: 0, bucketReads: 2, repairs: 1 });
  });

  it("is model_unavailable when R2 fails twice, and keeps nothing of it", async () => {
    const ref = await putBlob(env.MODELS, bytesOf(1000, 4));
    const down = () => Promise.reject(new Error("internal error 10001"));
    const store = new BlobStore(faulty(down, down), caches.default);
    await expect(read(store, ref)).rejects.toMatchObject({
      code: "model_unavailable",
      retryAfterSeconds: 1,
    });
    expect(await read(store, ref)).toHaveLength(1000);
  });

  it("gives up a read that brings nothing", async () => {
    const ref = await putBlob(env.MODELS, bytesOf(1000, 5));
    const hanging = () => Promise.resolve({ body: new ReadableStream<Uint8Array>(), size: 1000 });
    const store = new BlobStore(faulty(hanging, hanging), undefined, 50);
    await expect(read(store, ref)).rejects.toMatchObject({ code: "model_unavailable" });
  });

  it("is model_damaged when the blob is gone", async () => {
    const store = new BlobStore(env.MODELS, caches.default);
    const ref = { digest: "f".repeat(64), bytes: 10 };
    await expect(read(store, ref)).rejects.toMatchObject({ code: "model_damaged" });
    expect(store.stats.bucketReads).toBe(1);
  });

  it("never answers with bytes that do not match their digest", async () => {
    const bytes = bytesOf(5000, 6);
    const damage = fc.oneof(
      fc.record({ kind: fc.constant("flip" as const), at: fc.nat(4999), bit: fc.nat(7) }),
      fc.record({ kind: fc.constant("cut" as const), at: fc.nat(4999) }),
      fc.record({ kind: fc.constant("grow" as const), at: fc.integer({ min: 1, max: 3000 }) }),
    );
    await fc.assert(
      fc.asyncProperty(damage, fc.boolean(), async (how, cached) => {
        const ref = await putBlob(env.MODELS, bytes);
        let bad = bytes.slice();
        if (how.kind === "flip") bad[how.at] = (bad[how.at] ?? 0) ^ (1 << how.bit);
        if (how.kind === "cut") bad = bad.slice(0, how.at);
        if (how.kind === "grow") bad = new Uint8Array([...bad, ...new Uint8Array(how.at)]);
        await env.MODELS.put(blobKey(ref.digest), bad);
        await caches.default.delete(blobCacheUrl(ref.digest));
        const store = new BlobStore(env.MODELS, cached ? caches.default : undefined);
        await expect(read(store, ref)).rejects.toMatchObject({ code: "model_damaged" });
        // Nothing bad stays in the cache: once R2 is mended, so are we.
        await putBlob(env.MODELS, bytes);
        expect(await read(store, ref)).toEqual(bytes);
      }),
      { numRuns: 25 },
    );
  });
});
