import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import wasm from "../../../.nearside/runtime/ort.wasm";
import { createSession } from "../../../src/runtime/create-session.ts";
import { startOrt } from "../../../src/runtime/ort-module.ts";
import { edgeOf } from "../../support/edge.ts";
import { identityGraph } from "../../support/graphs.ts";
import { publishGraph, putCatalog } from "../../support/publish-graph.ts";

const ELEMENTS = 30_000;
const BYTES = ELEMENTS * 4;

const edge = edgeOf();

/** Counts what JavaScript copies and allocates in pieces as large as the tensor. */
function countLarge() {
  const counts = { copiedInto: 0, copiedOut: 0, allocated: 0 };
  const typed = Object.getPrototypeOf(Uint8Array.prototype) as Uint8Array;
  const { set, slice } = typed;
  vi.spyOn(typed, "set").mockImplementation(function (this: Uint8Array, ...words) {
    if (words[0].length >= ELEMENTS) counts.copiedInto++;
    return set.apply(this, words);
  });
  vi.spyOn(typed, "slice").mockImplementation(function (this: Uint8Array, ...words) {
    const copy = slice.apply(this, words);
    if (copy.length >= ELEMENTS) counts.copiedOut++;
    return copy;
  });
  for (const name of ["Uint8Array", "Float32Array", "ArrayBuffer", "Array"] as const) {
    const counted = new Proxy(globalThis[name] as new (...words: unknown[]) => object, {
      construct(target, words, created) {
        const [source] = words;
        const isLength = typeof source === "number" && source >= ELEMENTS;
        const isCopy =
          name !== "Array" && Number((source as ArrayLike<unknown>)?.length) >= ELEMENTS;
        if (isLength || isCopy) counts.allocated++;
        return Reflect.construct(target, words, created) as object;
      },
    });
    vi.stubGlobal(name, counted);
  }
  return counts;
}

/** A request whose tensor begins where no float may. */
function oddRequest(parameters: object, x: Float32Array<ArrayBuffer>) {
  const input = { name: "x", datatype: "FP32", shape: [1, ELEMENTS] };
  const inputs = [{ ...input, parameters: { binary_data_size: BYTES } }];
  const json = JSON.stringify({ inputs, parameters });
  const header = new TextEncoder().encode(json.padEnd(Math.ceil(json.length / 4) * 4 + 1));
  const body = new Uint8Array(header.length + BYTES);
  body.set(header);
  body.set(new Uint8Array(x.buffer), header.length);
  // As HTTP has it: the platform reads a body of known length in one piece.
  const headers = {
    "inference-header-content-length": String(header.length),
    "content-length": String(body.length),
  };
  return { method: "POST", headers, body };
}

const x = Float32Array.from({ length: ELEMENTS }, (_, index) => index / 7);

beforeAll(async () => {
  await putCatalog(env.CATALOG, [await publishGraph(env.MODELS, "echo", identityGraph("FP32", 2))]);
  // Loads the model.
  await edge.send("/v2/models/echo/infer", oddRequest({}, x));
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

describe("a tensor of bytes", () => {
  it("is copied into the instance and out of it, once each, and into nothing else", async () => {
    const request = oddRequest({ binary_data_output: true }, x);
    const counts = countLarge();
    const response = await edge.send("/v2/models/echo/infer", request);
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
    expect(response.status).toBe(200);
    // The answer's body is the only memory of that size.
    expect(counts).toEqual({ copiedInto: 2, copiedOut: 0, allocated: 1 });
    const length = Number(response.headers.get("inference-header-content-length"));
    const body = await response.arrayBuffer();
    expect(new Float32Array(body.slice(length))).toEqual(x);
  });

  it("would be seen to be copied", async () => {
    const request = oddRequest({}, x);
    const counts = countLarge();
    await edge.send("/v2/models/echo/infer", request);
    // As JSON it is kept for a shadow.
    expect(counts.copiedOut).toBe(1);
  });
});

describe("the outputs of a run", () => {
  it("are read where they lie in the instance's memory", async () => {
    const instance = await startOrt(wasm);
    const session = createSession(instance, { graph: identityGraph("FP32", 2) });
    const feeds = { x: { datatype: "FP32", shape: [1, ELEMENTS], data: x } } as const;
    const seen = session.runAndRead(feeds, undefined, ({ y }) => {
      if (y?.datatype !== "FP32") throw new Error("no y");
      return { buffer: y.data.buffer, shape: y.shape, last: y.data.at(-1) };
    });
    expect(seen.buffer).toBe(instance.memory.buffer);
    expect(seen).toMatchObject({ shape: [1, ELEMENTS], last: x.at(-1) });
    const { y } = session.run(feeds);
    if (y?.datatype !== "FP32") throw new Error("no y");
    expect(y.data.buffer).not.toBe(instance.memory.buffer);
  });

  it("are let go whatever the reader throws, which is no trap", async () => {
    const session = createSession(await startOrt(wasm), { graph: identityGraph("FP32", 2) });
    const feeds = { x: { datatype: "FP32", shape: [1, ELEMENTS], data: x } } as const;
    session.run(feeds);
    const { heapBytes } = session;
    for (let run = 0; run < 200; run++) {
      const failing = (): unknown =>
        session.runAndRead(feeds, ["y"], () => {
          throw new RangeError("mine");
        });
      expect(failing).toThrow(RangeError);
    }
    expect(session.trap).toBeUndefined();
    expect(session.heapBytes).toBe(heapBytes);
    expect(session.run(feeds)["y"]?.data).toEqual(x);
  });

  it("are several views of one memory, also when finding one out has grown it", async () => {
    const session = createSession(await startOrt(wasm), { graph: identityGraph("BYTES", 2) });
    const data = Array.from({ length: 20_000 }, (_, index) => `string ${index}`.repeat(10));
    const text = { datatype: "BYTES", shape: [1, data.length], data } as const;
    expect(session.runAndRead({ x: text }, undefined, ({ y }) => y)).toEqual(text);
  });
});
