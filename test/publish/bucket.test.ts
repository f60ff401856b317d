import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { PublishBucket } from "../../src/publish/bucket.ts";
import { MemoryBucket } from "../support/memory-bucket.ts";

let miniflare: Miniflare;
beforeAll(() => {
  miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: "export default {};",
      r2Buckets: ["MODELS"],
      telemetry: { enabled: false },
    }),
  );
});
afterAll(() => miniflare?.dispose());

const BUCKETS: [string, () => Promise<PublishBucket>][] = [
  ["the tests' bucket", () => Promise.resolve(new MemoryBucket())],
  [
    "Miniflare's R2",
    async () => (await miniflare.getR2Bucket("MODELS")) as unknown as PublishBucket,
  ],
];

/** What publication relies on, of R2 and of what stands for it in tests. */
describe.each(BUCKETS)("%s", (_, open) => {
  it("has nothing where nothing was put", async () => {
    const bucket = await open();
    expect(await bucket.head("a/none")).toBeNull();
    expect(await bucket.get("a/none")).toBeNull();
  });

  it("gives back what was put, texts and bytes, and their size in bytes", async () => {
    const bucket = await open();
    await bucket.put("b/text", "é");
    expect(await bucket.head("b/text")).toMatchObject({ size: 2 });
    expect(await (await bucket.get("b/text"))?.text()).toBe("é");
    const bytes = Uint8Array.of(0, 255, 10);
    await bucket.put("b/bytes", bytes.subarray(1));
    const stored = await bucket.get("b/bytes");
    expect(new Uint8Array((await stored?.arrayBuffer()) ?? [])).toEqual(Uint8Array.of(255, 10));
  });

  it("gives equal content the same etag, and other content another", async () => {
    const bucket = await open();
    const etagOf = async (text: string) => {
      await bucket.put("c/text", text);
      return (await bucket.get("c/text"))?.etag;
    };
    const one = await etagOf("one");
    expect(one).toBe("f97c5d29941bfb1b2fdab0874906ab82");
    expect(await etagOf("two")).not.toBe(one);
    expect(await etagOf("one")).toBe(one);
  });

  it("writes only if absent when it is told so", async () => {
    const bucket = await open();
    const onlyIf = { etagDoesNotMatch: "*" };
    expect(await bucket.put("d/text", "first", { onlyIf })).not.toBeNull();
    expect(await bucket.put("d/text", "second", { onlyIf })).toBeNull();
    expect(await (await bucket.get("d/text"))?.text()).toBe("first");
  });

  it("writes only over what was read when it is told so", async () => {
    const bucket = await open();
    await bucket.put("e/text", "first");
    const etagMatches = (await bucket.get("e/text"))?.etag ?? "";
    expect(await bucket.put("e/text", "second", { onlyIf: { etagMatches } })).not.toBeNull();
    expect(await bucket.put("e/text", "third", { onlyIf: { etagMatches } })).toBeNull();
    expect(await (await bucket.get("e/text"))?.text()).toBe("second");
    expect(await bucket.put("e/none", "new", { onlyIf: { etagMatches } })).toBeNull();
    expect(await bucket.head("e/none")).toBeNull();
  });

  it("lets one of many win that write at the same time", async () => {
    const bucket = await open();
    const outcomes = await Promise.all(
      ["a", "b", "c", "d"].map((text) =>
        bucket.put("f/text", text, { onlyIf: { etagDoesNotMatch: "*" } }),
      ),
    );
    expect(outcomes.filter((outcome) => outcome !== null)).toHaveLength(1);
  });
});
