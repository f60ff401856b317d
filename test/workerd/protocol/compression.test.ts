import { env } from "cloudflare:workers";
import fc from "fast-check";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { readBody } from "../../../src/protocol/body.ts";
import { preferredCoding } from "../../../src/protocol/compression.ts";
import { encodeBinaryRequest } from "../../../src/protocol/open-inference/binary.ts";
import { edgeOf } from "../../support/edge.ts";
import { identityGraph } from "../../support/graphs.ts";
import { publishGraph } from "../../support/publish-graph.ts";
import { TABULAR_TASK, putVersions, tabularGraph } from "./models.ts";

type Coding = "gzip" | "deflate";

const CODINGS = ["gzip", "deflate"] as const;
const MAX_BYTES = 100_000;
const edge = edgeOf();

const encoder = new TextEncoder();

async function through(
  bytes: Uint8Array<ArrayBuffer>,
  transform: CompressionStream | DecompressionStream,
): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(transform);
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const compress = (bytes: Uint8Array<ArrayBuffer>, coding: Coding) =>
  through(bytes, new CompressionStream(coding));
const decompress = (bytes: Uint8Array<ArrayBuffer>, coding: Coding) =>
  through(bytes, new DecompressionStream(coding));

/** Gives bytes away in pieces, as they are taken, and counts them. */
function pieces(bytes: Uint8Array, size: number) {
  const seen = { bytes: 0, cancelled: false };
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (seen.bytes >= bytes.length) return controller.close();
        const piece = bytes.slice(seen.bytes, seen.bytes + size);
        seen.bytes += piece.length;
        controller.enqueue(piece);
      },
      cancel() {
        seen.cancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, seen };
}

function read(body: BodyInit, coding: string, maxBytes = MAX_BYTES): Promise<Uint8Array> {
  const headers = { "content-encoding": coding };
  return readBody(new Request("https://edge.test", { method: "POST", body, headers }), maxBytes);
}

const problem = async (response: Response): Promise<object> => ({
  status: response.status,
  ...(await response.json<object>()),
});

beforeAll(async () => {
  await putVersions(env.CATALOG, [
    await publishGraph(env.MODELS, "shape", tabularGraph(), { task: TABULAR_TASK }),
    await publishGraph(env.MODELS, "echo", identityGraph("FP32", 2)),
  ]);
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a compressed body", () => {
  it.each(CODINGS)("of %s is read as what it was, however it comes", async (coding) => {
    const property = fc.asyncProperty(
      fc.uint8Array({ maxLength: 5_000 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 5_000 }),
      async (part, times, size) => {
        const content = new Uint8Array(part.length * times);
        for (let at = 0; at < times; at++) content.set(part, at * part.length);
        const coded = await compress(content, coding);
        expect(await read(pieces(coded, size).stream, coding)).toEqual(content);
        expect(await read(coded, coding)).toEqual(content);
      },
    );
    await fc.assert(property, { numRuns: 40 });
  });

  it.each<[string, Coding]>([
    ["GZIP", "gzip"],
    [" x-gzip ", "gzip"],
    ["Deflate", "deflate"],
  ])("may be called %s", async (name, coding) => {
    const content = encoder.encode("content") as Uint8Array<ArrayBuffer>;
    expect(await read(await compress(content, coding), name)).toEqual(content);
  });

  it.each(CODINGS)("of %s may be as long as the limit, and no longer", async (coding) => {
    const content = new Uint8Array(MAX_BYTES);
    expect((await read(await compress(content, coding), coding)).length).toBe(MAX_BYTES);
    const longer = await compress(new Uint8Array(MAX_BYTES + 1), coding);
    await expect(read(longer, coding)).rejects.toMatchObject({ code: "body_too_large" });
  });

  it("that is a bomb ends after the first of its pieces", async () => {
    const bomb = await compress(new Uint8Array(32 * 1024 * 1024), "gzip");
    const { stream, seen } = pieces(bomb, 1024);
    await expect(read(stream, "gzip")).rejects.toMatchObject({ code: "body_too_large" });
    expect(seen).toEqual({ bytes: 1024, cancelled: true });
  });

  it("that decodes to nothing for ever ends at the limit, too", async () => {
    // Empty stored blocks, none of them the last.
    const blocks = new Uint8Array(2 + 5 * 4_000);
    blocks.set([0x78, 0x9c]);
    for (let at = 2; at < blocks.length; at += 5) blocks.set([0, 0, 0, 0xff, 0xff], at);
    const { stream, seen } = pieces(blocks, 1_000);
    await expect(read(stream, "deflate", 5_000)).rejects.toMatchObject({ code: "body_too_large" });
    expect(seen).toEqual({ bytes: 6_000, cancelled: true });
  });

  it.each<[string, (coded: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>]>([
    ["cut off", (coded) => coded.slice(0, -9)],
    ["no such thing", () => encoder.encode('{"inputs":[3,1]}') as Uint8Array<ArrayBuffer>],
    ["followed by more", (coded) => Uint8Array.from([...coded, 1, 2, 3])],
    ["damaged", (coded) => coded.with(coded.length - 6, 0)],
    ["empty", () => new Uint8Array()],
  ])("that is %s is refused, and the next is read", async (_, change) => {
    const good = await compress(
      encoder.encode('{"inputs":[3,1]}') as Uint8Array<ArrayBuffer>,
      "gzip",
    );
    const post = (body: Uint8Array<ArrayBuffer>): Promise<Response> =>
      edge.send("/v1/predict/shape", {
        method: "POST",
        headers: { "content-type": "application/json", "content-encoding": "gzip" },
        body,
      });
    expect(await problem(await post(change(good)))).toMatchObject({
      status: 400,
      code: "invalid_request",
      field: "content-encoding",
    });
    expect((await post(good)).status).toBe(200);
  });

  it.each(["br", "zstd", "compress", "gzip, gzip", ""])(
    "of %j is refused unread",
    async (coding) => {
      const { stream, seen } = pieces(new Uint8Array(100), 10);
      await expect(read(stream, coding)).rejects.toMatchObject({
        code: "unsupported_media_type",
        field: "content-encoding",
      });
      expect(seen.bytes).toBe(0);
    },
  );

  it.each(CODINGS)("of %s carries tensors as bytes", async (coding) => {
    const x = { datatype: "FP32", shape: [1, 3], data: Float32Array.of(1, 2, 3) } as const;
    const { body, headerLength } = encodeBinaryRequest({ inputs: { x }, outputs: ["y"] });
    const response = await edge.send("/v2/models/echo/infer", {
      method: "POST",
      headers: {
        "content-encoding": coding,
        "inference-header-content-length": String(headerLength),
      },
      body: await compress(body, coding),
    });
    expect(response.status).toBe(200);
    const answer = new Uint8Array(await response.arrayBuffer());
    expect(answer.slice(-12)).toEqual(body.slice(-12));
  });
});

describe("a compressed answer", () => {
  const infer = (values: Iterable<number>, headers: Record<string, string>, more: object = {}) => {
    const data = [...values];
    return edge.send("/v2/models/echo/infer", {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({
        inputs: [{ name: "x", datatype: "FP32", shape: [1, data.length], data }],
        ...more,
      }),
    });
  };
  const ones = Array<number>(2_000).fill(1);

  it.each(CODINGS)("comes as %s to who asks for it, and is the same", async (coding) => {
    const response = await infer(ones, { "accept-encoding": coding });
    expect(response.headers.get("content-encoding")).toBe(coding);
    expect(response.headers.get("vary")).toContain("accept-encoding");
    const coded = new Uint8Array(await response.arrayBuffer());
    const plain = await (await infer(ones, {})).text();
    expect(coded.length).toBeLessThan(plain.length / 10);
    expect(new TextDecoder().decode(await decompress(coded, coding))).toBe(plain);
  });

  it("may have tensors as bytes, whose place is told in the content", async () => {
    const parameters = { binary_data_output: true };
    const response = await infer(ones, { "accept-encoding": "gzip" }, { parameters });
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    expect(response.headers.get("content-encoding")).toBe("gzip");
    const length = Number(response.headers.get("inference-header-content-length"));
    const content = await decompress(new Uint8Array(await response.arrayBuffer()), "gzip");
    expect(content.length - length).toBe(8_000);
    expect(new Float32Array(content.slice(length).buffer)).toEqual(Float32Array.from(ones));
  });

  it.each<[string, Iterable<number>, Record<string, string>, object]>([
    ["nobody asks for it", ones, {}, {}],
    ["it is refused", ones, { "accept-encoding": "gzip;q=0, br" }, {}],
    ["it is small", [1, 2, 3], { "accept-encoding": "gzip" }, {}],
    [
      "its bytes hardly shrink",
      Float32Array.from({ length: 5_000 }, (_, at) => Math.fround(Math.sin(at * at + 0.3))),
      { "accept-encoding": "gzip" },
      { parameters: { binary_data_output: true } },
    ],
  ])("is none where %s", async (_, values, headers, more) => {
    const response = await infer(values, headers, more);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-encoding")).toBeNull();
    expect(response.headers.get("vary")).toContain("accept-encoding");
  });

  it("is what the caller asked Cloudflare for, which asks for gzip itself", async () => {
    const body = JSON.stringify({
      inputs: [{ name: "x", datatype: "FP32", shape: [1, ones.length], data: ones }],
    });
    for (const [clientAcceptEncoding, coding] of [
      ["deflate", "deflate"],
      ["identity", null],
    ]) {
      const response = await edge.send("/v2/models/echo/infer", {
        method: "POST",
        headers: { "content-type": "application/json", "accept-encoding": "gzip, br" },
        body,
        cf: { clientAcceptEncoding },
      } as RequestInit);
      expect(response.headers.get("content-encoding")).toBe(coding);
    }
  });

  it("is none of an error", async () => {
    const response = await infer([], { "accept-encoding": "gzip" }, { inputs: [] });
    expect([response.status, response.headers.get("content-encoding")]).toEqual([400, null]);
    await response.json();
  });
});

describe("the coding that a caller prefers", () => {
  it.each<[string | null, Coding | undefined]>([
    [null, undefined],
    ["", undefined],
    ["gzip", "gzip"],
    ["x-gzip", "gzip"],
    ["deflate", "deflate"],
    ["gzip, deflate, br", "gzip"],
    ["deflate, gzip", "gzip"],
    ["gzip;q=0.5, deflate", "deflate"],
    ["gzip;q=0.5, deflate; q=0.4", "gzip"],
    ["GZIP;Q=1", "gzip"],
    ["br", undefined],
    ["*", "gzip"],
    ["*;q=0", undefined],
    ["gzip;q=0, *", "deflate"],
    ["gzip;q=0", undefined],
    ["gzip;q=2", undefined],
    ["gzip;q=never", undefined],
    ["identity", undefined],
    ["identity, gzip;q=0.5", undefined],
    ["identity;q=0.5, gzip;q=0.5", "gzip"],
  ])("of %j is %s", (accepted, coding) => {
    expect(preferredCoding(accepted)).toBe(coding);
  });
});
