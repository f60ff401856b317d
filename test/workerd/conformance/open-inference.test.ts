import { env } from "cloudflare:workers";
import fc from "fast-check";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import type { Manifest } from "../../../src/catalog/manifest.ts";
import { GraphBuilder } from "../../../src/publish/onnx/graph-builder.ts";
import { DATATYPES, type Datatype, floatsOfBf16 } from "../../../src/runtime/tensor.ts";
import { blobKey } from "../../../src/store/layout.ts";
import { edgeOf } from "../../support/edge.ts";
import { identityGraph, linearGraph } from "../../support/graphs.ts";
import { publishGraph } from "../../support/publish-graph.ts";
import { putVersions } from "../protocol/models.ts";

/** https://github.com/open-inference/open-inference-protocol, inference_rest.md: "Platforms". */
const PLATFORMS = [
  "tensorrt_plan",
  "tensorflow_graphdef",
  "tensorflow_savedmodel",
  "onnx_onnxv1",
  "pytorch_torchscript",
  "mxnet_mxnet",
  "caffe2_netdef",
];

const ALL_DATATYPES = Object.keys(DATATYPES) as Datatype[];

interface InferResponse {
  readonly outputs: readonly { readonly name: string; readonly data: readonly unknown[] }[];
}

const edge = edgeOf();

const echo = (datatype: Datatype): string => `echo-${datatype.toLowerCase()}`;

const tensor = (datatype: string, shape: unknown, data: unknown) => [
  { name: "x", datatype, shape, data },
];

/** Two numbers for `linear`, which answers `y` and `sum`. */
const pair = tensor("FP32", [1, 2], [1, 2]);

const statusOf = async (response: Promise<Response>): Promise<number> => (await response).status;

/** A failure as the protocol has it. */
async function failure(answering: Promise<Response>): Promise<{ status: number; error: string }> {
  const response = await answering;
  expect(response.headers.get("content-type")).toBe("application/json");
  const { error } = await response.json<{ error: string }>();
  expect(error).toBeTypeOf("string");
  expect(error).not.toBe("");
  return { status: response.status, error };
}

/** Posts text as it is: JSON.stringify would round 64-bit integers. */
const inferText = (model: string, body: string): Promise<Response> =>
  edge.send(`/v2/models/${model}/infer`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });

/** The example of the specification: [2, 2] and [3] in, [3, 2] out. */
function exampleGraph(): Uint8Array<ArrayBuffer> {
  const graph = new GraphBuilder("example");
  graph.input("input0", "UINT32", [2, 2]);
  graph.input("input1", "BOOL", [3]);
  const numbers = graph.op("Cast", ["input0"], { to: DATATYPES.FP32.onnx });
  const sums = graph.op("ReduceSum", [numbers, graph.int64s("rows", [0])], { keepdims: 1 });
  const flags = graph.op("Cast", ["input1"], { to: DATATYPES.FP32.onnx });
  const column = graph.op("Unsqueeze", [flags, graph.int64s("columns", [1])]);
  graph.op("MatMul", [column, sums], {}, "output0");
  graph.op("Identity", ["input1"], {}, "output1");
  graph.output("output0", "FP32", [3, 2]);
  graph.output("output1", "BOOL", [3]);
  return graph.toBytes();
}

/** `y0 = x0` of INT64 and `y1 = x1` of FP64. */
function mixedGraph(): Uint8Array<ArrayBuffer> {
  const graph = new GraphBuilder("mixed");
  for (const [index, datatype] of (["INT64", "FP64"] as const).entries()) {
    graph.input(`x${index}`, datatype, [`n${index}`]);
    graph.op("Identity", [`x${index}`], {}, `y${index}`);
    graph.output(`y${index}`, datatype, [`n${index}`]);
  }
  return graph.toBytes();
}

/** `y[i][j] = 10 i + j` as seen by its transpose: row-major order shows in the answer. */
function transposeGraph(): Uint8Array<ArrayBuffer> {
  const graph = new GraphBuilder("transpose");
  graph.input("x", "INT32", ["rows", "columns"]);
  graph.op("Transpose", ["x"], { perm: [1, 0] }, "y");
  graph.output("y", "INT32", ["columns", "rows"]);
  return graph.toBytes();
}

beforeAll(async () => {
  const publish = (name: string, graph: Uint8Array<ArrayBuffer>, more: Partial<Manifest> = {}) =>
    publishGraph(env.MODELS, name, graph, more);
  const manifests = [
    await publish("linear", linearGraph(2, 2)),
    await publish("linear", linearGraph(2, 3), { version: 2 }),
    await publish("linear", linearGraph(2, 4), { version: 10 }),
    await publish("gone", linearGraph(2, 5)),
    await publish("example", exampleGraph()),
    await publish("mixed", mixedGraph()),
    await publish("transpose", transposeGraph()),
    await publish("scalar", identityGraph("FP32", 0)),
  ];
  for (const datatype of ALL_DATATYPES) {
    manifests.push(await publish(echo(datatype), identityGraph(datatype, 2)));
  }
  await putVersions(env.CATALOG, manifests, { linear: { canary: 2 } });
  const gone = manifests.find(({ name }) => name === "gone");
  await env.MODELS.delete(blobKey(gone?.graph?.digest ?? ""));
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe("server", () => {
  it("live: answers 200 even when nothing can be looked up", async () => {
    const response = await edgeOf({ CATALOG: emptyNamespace }).send("/v2/health/live");
    expect([response.status, await response.json()]).toEqual([200, { live: true }]);
  });

  it("ready: answers 200 while models can be looked up", async () => {
    const response = await edge.send("/v2/health/ready");
    expect([response.status, await response.json()]).toEqual([200, { live: true, ready: true }]);
  });

  it("ready-not: answers 503 without a catalog", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { status } = await failure(edgeOf({ CATALOG: emptyNamespace }).send("/v2/health/ready"));
    expect(status).toBe(503);
  });

  it("server: names itself, its version and its extensions", async () => {
    const response = await edge.send("/v2");
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      name: "nearside",
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      extensions: expect.arrayContaining(["binary_tensor_data"]),
    });
  });

  const emptyNamespace = { get: () => Promise.resolve(null) } as unknown as KVNamespace;
});

describe("model", () => {
  it("model-ready: answers with the model's name, with or without a version", async () => {
    for (const path of ["", "/versions/1", "/versions/2", "/versions/canary"]) {
      const response = await edge.send(`/v2/models/linear${path}/ready`);
      expect([response.status, await response.json()]).toEqual([
        200,
        { name: "linear", ready: true },
      ]);
    }
  });

  it("model-ready-unknown: answers 404 for what it does not know", async () => {
    for (const path of ["nothing", "nothing/versions/1", "linear/versions/3"]) {
      expect((await failure(edge.send(`/v2/models/${path}/ready`))).status).toBe(404);
    }
  });

  it("model-ready-not: answers 503 when the model has just failed to load", async () => {
    const inputs = tensor("FP32", [1, 2], [1, 2]);
    expect((await failure(edge.infer("gone", inputs))).status).toBe(503);
    expect((await failure(edge.send("/v2/models/gone/ready"))).status).toBe(503);
  });

  it("model: describes the model, the same at both paths", async () => {
    const response = await edge.send("/v2/models/linear");
    expect(response.status).toBe(200);
    const metadata = await response.json();
    expect(metadata).toEqual({
      name: "linear",
      versions: ["1", "2", "10"],
      platform: "onnx_onnxv1",
      inputs: [{ name: "x", datatype: "FP32", shape: [-1, 2] }],
      outputs: [
        { name: "y", datatype: "FP32", shape: [-1, 2] },
        { name: "sum", datatype: "FP32", shape: [] },
      ],
    });
    expect(await (await edge.send("/v2/models/linear/versions/1")).json()).toEqual(metadata);
    expect(await (await edge.send("/v2/models/linear/versions/2")).json()).toMatchObject({
      outputs: [{ shape: [-1, 3] }, { shape: [] }],
    });
  });

  it("model-versions: serves every version that it lists, and chooses one by itself", async () => {
    const { versions } = await (
      await edge.send("/v2/models/linear")
    ).json<{ versions: string[] }>();
    for (const version of versions) {
      const response = await edge.post(`/v2/models/linear/versions/${version}/infer`, {
        inputs: pair,
      });
      expect(await response.json()).toMatchObject({ model_version: version });
    }
    expect(await (await edge.infer("linear", pair)).json()).toMatchObject({ model_version: "1" });
  });

  it("model-platform: has a platform of the list", async () => {
    const { platform } = await (await edge.send("/v2/models/linear")).json<{ platform: string }>();
    expect(PLATFORMS).toContain(platform);
  });

  it("model-tensor: tells the datatype and the shape of every tensor", async () => {
    for (const datatype of ALL_DATATYPES) {
      const response = await edge.send(`/v2/models/${echo(datatype)}`);
      expect(await response.json()).toMatchObject({
        inputs: [{ name: "x", datatype, shape: [-1, -1] }],
        outputs: [{ name: "y", datatype, shape: [-1, -1] }],
      });
    }
    expect(await (await edge.send("/v2/models/example")).json()).toMatchObject({
      inputs: [{ shape: [2, 2] }, { shape: [3] }],
    });
  });
});

describe("inference", () => {
  it("infer: answers at every path of the model", async () => {
    for (const path of ["", "/versions/1", "/versions/stable"]) {
      const response = await edge.post(`/v2/models/linear${path}/infer`, { inputs: pair });
      expect(response.status).toBe(200);
      expect(response.headers.get("content-type")).toBe("application/json");
      const { outputs } = await response.json<InferResponse>();
      expect(outputs[0]?.data[0]).toBeCloseTo(1.004, 6);
      expect(outputs[0]?.data[1]).toBeCloseTo(1.007, 6);
    }
  });

  it("infer-id: returns the id when there is one, and is strict about its type", async () => {
    for (const id of ["42", "", '日本 " \\ \u0000']) {
      expect(await (await edge.infer("linear", pair, { id })).json()).toMatchObject({ id });
    }
    expect(await (await edge.infer("linear", pair)).json()).not.toHaveProperty("id");
    for (const id of [42, null, true, {}, []]) {
      expect((await failure(edge.infer("linear", pair, { id }))).status).toBe(400);
    }
  });

  it("infer-parameters: takes parameters in all three places", async () => {
    const parameters = { text: "a", number: 1.5, flag: true, "": "empty name" };
    for (const given of [parameters, {}]) {
      const response = await edge.infer("linear", [{ ...pair[0], parameters: given }], {
        parameters: given,
        outputs: [{ name: "y", parameters: given }],
      });
      expect(response.status).toBe(200);
    }
    for (const wrong of ["a", 1, [], null, true]) {
      for (const request of [
        edge.infer("linear", pair, { parameters: wrong }),
        edge.infer("linear", [{ ...pair[0], parameters: wrong }]),
        edge.infer("linear", pair, { outputs: [{ name: "y", parameters: wrong }] }),
      ]) {
        expect((await failure(request)).status).toBe(400);
      }
    }
  });

  it("infer-inputs: needs every input of the model, once, and no other", async () => {
    for (const inputs of [
      undefined,
      null,
      {},
      "x",
      [],
      [...pair, ...pair],
      [...pair, { ...pair[0], name: "z" }],
      [null],
      [[]],
    ]) {
      expect((await failure(edge.infer("linear", inputs))).status).toBe(400);
    }
  });

  it("infer-input: needs an input's name, shape, datatype and data", async () => {
    const whole = { name: "x", shape: [1, 2], datatype: "FP32", data: [1, 2] };
    expect(await statusOf(edge.infer("linear", [whole]))).toBe(200);
    for (const key of Object.keys(whole)) {
      for (const value of [undefined, null, 7, {}, true]) {
        const { status, error } = await failure(edge.infer("linear", [{ ...whole, [key]: value }]));
        expect(status).toBe(400);
        expect(error).toContain(key);
      }
    }
    for (const datatype of ["fp32", "FP64", "BF16", "FP8", "", "FLOAT", "toString"]) {
      expect((await failure(edge.infer("linear", [{ ...whole, datatype }]))).status).toBe(400);
    }
  });

  it("infer-shape: takes whole batches, and shapes that fit the model and the data", async () => {
    const batch = tensor("FP32", [3, 2], [1, 2, 3, 4, 5, 6]);
    expect(await (await edge.infer("linear", batch)).json()).toMatchObject({
      outputs: [{ shape: [3, 2] }, { shape: [] }],
    });
    expect((await edge.infer(echo("INT32"), tensor("INT32", [0, 5], []))).status).toBe(400);
    expect(await (await edge.infer("scalar", tensor("FP32", [], [7]))).json()).toMatchObject({
      outputs: [{ shape: [], data: [7] }],
    });
    for (const shape of [
      [],
      [2],
      [1, 1, 2],
      [1, 3],
      [2, 2],
      [0, 2],
      [-1, 2],
      [1.5, 2],
      ["1", 2],
      [[1], 2],
      [2 ** 31, 2],
      [2 ** 64, 2],
      [1e300, 2],
      Array(1_000).fill(1),
    ]) {
      expect((await failure(edge.infer("linear", tensor("FP32", shape, [1, 2])))).status).toBe(400);
    }
  });

  it("infer-outputs: returns the outputs asked for in their order, else all", async () => {
    const names = async (outputs: unknown): Promise<string[]> => {
      const response = await edge.infer("linear", pair, { outputs });
      return (await response.json<InferResponse>()).outputs.map(({ name }) => name);
    };
    expect(await names(undefined)).toEqual(["y", "sum"]);
    expect(await names([])).toEqual(["y", "sum"]);
    expect(await names([{ name: "sum" }])).toEqual(["sum"]);
    expect(await names([{ name: "sum" }, { name: "y" }])).toEqual(["sum", "y"]);
    for (const outputs of [
      null,
      {},
      "y",
      ["y"],
      [{}],
      [{ name: 1 }],
      [{ name: "z" }],
      [{ name: "toString" }],
      [{ name: "y" }, { name: "y" }],
    ]) {
      expect((await failure(edge.infer("linear", pair, { outputs }))).status).toBe(400);
    }
  });

  it("infer-response: names the model and the version that answered", async () => {
    const response = await edge.post("/v2/models/linear/versions/canary/infer", { inputs: pair });
    const answer = await response.json<object>();
    expect(answer).toMatchObject({ model_name: "linear", model_version: "2" });
    expect(Object.keys(answer)).toEqual(["model_name", "model_version", "outputs"]);
  });

  it("infer-output: describes every output in full", async () => {
    const { outputs } = await (await edge.infer("linear", pair)).json<InferResponse>();
    expect(outputs).toEqual([
      { name: "y", datatype: "FP32", shape: [1, 2], data: expect.any(Array) },
      { name: "sum", datatype: "FP32", shape: [], data: [expect.closeTo(2.011, 5)] },
    ]);
  });

  it("infer-example: answers the specification's example", async () => {
    const request = (flags: readonly boolean[]): object => ({
      id: "42",
      inputs: [
        { name: "input0", shape: [2, 2], datatype: "UINT32", data: [1, 2, 3, 4] },
        { name: "input1", shape: [3], datatype: "BOOL", data: flags },
      ],
      outputs: [{ name: "output0" }],
    });
    const response = await edge.post("/v2/models/example/infer", request([true, false, true]));
    expect(await response.json()).toEqual({
      model_name: "example",
      model_version: "1",
      id: "42",
      outputs: [{ name: "output0", shape: [3, 2], datatype: "FP32", data: [4, 6, 0, 0, 4, 6] }],
    });
    // As printed, the example has one element where its shape holds three.
    const printed = await failure(edge.post("/v2/models/example/infer", request([true])));
    expect(printed.status).toBe(400);
  });

  const failures: readonly [string, number, () => Promise<Response>][] = [
    ["a path that is not there", 404, () => edge.send("/v2/nothing")],
    ["generate, which is not offered", 501, () => edge.post("/v2/models/linear/generate", {})],
    ["an unknown model", 404, () => edge.infer("nothing", pair)],
    ["an unknown version", 404, () => edge.send("/v2/models/linear/versions/3")],
    ["metadata of an unknown model", 404, () => edge.send("/v2/models/nothing")],
    ["a wrong method", 405, () => edge.send("/v2/models/linear/infer")],
    ["no JSON", 400, () => inferText("linear", "{")],
    ["no body", 400, () => edge.send("/v2/models/linear/infer", { method: "POST" })],
    ["an array", 400, () => edge.post("/v2/models/linear/infer", pair)],
    ["another content type", 415, () => postAs("application/octet-stream")],
    ["a form", 415, () => postAs("application/x-www-form-urlencoded")],
    ["binary tensor data that is not there", 400, () => edge.infer("linear", [BINARY_INPUT])],
    ["JSON of another length", 400, () => postAs("application/json", BINARY_HEADER)],
    [
      "too large a batch",
      413,
      () => edge.infer("linear", tensor("FP32", [65, 2], Array(130).fill(1))),
    ],
  ];
  const BINARY_INPUT = { ...pair[0], data: undefined, parameters: { binary_data_size: 8 } };
  const BINARY_HEADER = { "inference-header-content-length": "10" };
  const postAs = (type: string, headers: Record<string, string> = {}): Promise<Response> =>
    edge.send("/v2/models/linear/infer", {
      method: "POST",
      headers: { "content-type": type, ...headers },
      body: JSON.stringify({ inputs: pair }),
    });

  for (const [what, status, request] of failures) {
    it(`error: ${status} for ${what}`, async () => {
      expect((await failure(request())).status).toBe(status);
    });
  }

  it("error: and no failure of the server's own, whatever the JSON", async () => {
    const request = fc.record(
      {
        id: fc.jsonValue(),
        parameters: fc.jsonValue(),
        inputs: fc.oneof(
          fc.jsonValue(),
          fc.array(
            fc.record(
              {
                name: fc.oneof(fc.constant("x"), fc.jsonValue()),
                datatype: fc.oneof(fc.constantFrom(...ALL_DATATYPES), fc.jsonValue()),
                shape: fc.oneof(fc.array(fc.integer({ min: -1, max: 3 })), fc.jsonValue()),
                data: fc.oneof(fc.array(fc.jsonValue()), fc.jsonValue()),
              },
              { requiredKeys: [] },
            ),
          ),
        ),
        outputs: fc.jsonValue(),
      },
      { requiredKeys: ["inputs"] },
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...ALL_DATATYPES), request, async (datatype, body) => {
        const response = await edge.post(`/v2/models/${echo(datatype)}/infer`, body);
        expect([200, 400, 413]).toContain(response.status);
        expect(await response.json()).toHaveProperty(response.ok ? "outputs" : "error");
      }),
      { numRuns: 100 },
    );
  });
});

describe("tensor data", () => {
  it("data-row-major: is read and written row by row", async () => {
    for (const data of [
      [0, 1, 2, 10, 11, 12],
      [
        [0, 1, 2],
        [10, 11, 12],
      ],
    ]) {
      const response = await edge.infer("transpose", tensor("INT32", [2, 3], data));
      expect(await response.json()).toMatchObject({
        outputs: [{ shape: [3, 2], data: [0, 10, 1, 11, 2, 12] }],
      });
    }
  });

  it("data-forms: may be flat or nested, and nothing between the two", async () => {
    const [flat, nested] = [
      [1, 2, 3, 4],
      [
        [1, 2],
        [3, 4],
      ],
    ];
    for (const data of [flat, nested]) {
      const response = await edge.infer(echo("INT8"), tensor("INT8", [2, 2], data));
      expect(await response.json()).toMatchObject({ outputs: [{ data: flat }] });
    }
    for (const data of [
      [[1, 2, 3, 4]],
      [[1], [2], [3], [4]],
      [[1, 2], [3]],
      [[1, 2], [3, 4], []],
      [[1, 2], 3, 4],
      [1, 2, [3, 4]],
      [
        [[1], [2]],
        [[3], [4]],
      ],
      [[1, 2], "ab"],
      [[1, 2], { 0: 3, 1: 4, length: 2 }],
      [1, 2, 3],
      [1, 2, 3, 4, 5],
      [],
    ]) {
      expect((await failure(edge.infer(echo("INT8"), tensor("INT8", [2, 2], data)))).status).toBe(
        400,
      );
    }
  });

  const misfits: Record<Datatype, readonly string[]> = {
    BOOL: ["2", "-1", "0.5", '"true"'],
    UINT8: ["-1", "256", "0.5", '"1"', "true"],
    UINT16: ["-1", "65536"],
    UINT32: ["-1", "4294967296"],
    UINT64: ["-1", "18446744073709551616", "1e300", "0.5", '"1"', "true"],
    INT8: ["-129", "128"],
    INT16: ["-32769", "32768"],
    INT32: ["-2147483649", "2147483648", "1e300"],
    INT64: ["-9223372036854775809", "9223372036854775808", "1e300", "0.5", "1e999"],
    FP16: ["65520", "-1e9", "1e999", '"1"', "true"],
    BF16: ["3.3962e38", "-1e39", "1e999", '"1"', "true"],
    FP32: ["3.5e38", "-1e39", "1e999", '"NaN"', "false"],
    FP64: ["1e999", '"1"', "true"],
    BYTES: ["1", "true", '"a\\u0000b"'],
  };
  for (const datatype of ALL_DATATYPES) {
    it(`data-elements: refuses what is no ${datatype}, and says where it stands`, async () => {
      const good = datatype === "BYTES" ? '"a"' : "1";
      for (const bad of [...misfits[datatype], "null", "{}", "[]"]) {
        const body = `{"inputs":[{"name":"x","datatype":"${datatype}","shape":[1,2],"data":[${good},${bad}]}]}`;
        const { status, error } = await failure(inferText(echo(datatype), body));
        expect([bad, status]).toEqual([bad, 400]);
        expect(error).toContain("inputs[0].data[1]");
      }
    });
  }

  const values: Record<Datatype, fc.Arbitrary<unknown>> = {
    BOOL: fc.boolean(),
    UINT8: fc.integer({ min: 0, max: 0xff }),
    UINT16: fc.integer({ min: 0, max: 0xffff }),
    UINT32: fc.integer({ min: 0, max: 0xffff_ffff }),
    UINT64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    INT8: fc.integer({ min: -0x80, max: 0x7f }),
    INT16: fc.integer({ min: -0x8000, max: 0x7fff }),
    INT32: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }),
    INT64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    FP16: fc
      .double({ min: -65504, max: 65504, noNaN: true })
      .map((value) => Math.f16round(value) + 0),
    BF16: fc.integer({ min: 0, max: 0x7f7f }).map((bits) => floatsOfBf16(Uint16Array.of(bits))[0]),
    FP32: fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
    FP64: fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
    BYTES: fc.string({ unit: "grapheme", maxLength: 8 }).map((text) => text.replaceAll("\0", "")),
  };
  const extremes: Partial<Record<Datatype, readonly unknown[]>> = {
    UINT8: [0, 255],
    UINT16: [0, 65535],
    UINT32: [0, 4294967295],
    UINT64: [0n, 18446744073709551615n],
    INT8: [-128, 127],
    INT16: [-32768, 32767],
    INT32: [-2147483648, 2147483647],
    INT64: [-9223372036854775808n, 9223372036854775807n],
    FP16: [-65504, 65504, 2 ** -24],
    BF16: [-3.3895313892515355e38, 2 ** -133],
    FP32: [-3.4028234663852886e38, 2 ** -149],
    FP64: [-Number.MAX_VALUE, Number.MIN_VALUE],
    BYTES: ["", '"\\\n', "\u2028\ud83e\udd80"],
  };
  const toJson = (value: unknown): string =>
    typeof value === "bigint" ? String(value) : JSON.stringify(value);

  for (const datatype of ALL_DATATYPES) {
    it(`datatype: carries ${datatype} there and back unchanged, flat and nested`, async () => {
      const rows = fc
        .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 4 }))
        .chain(([height, width]) => {
          const row = fc.array(values[datatype], { minLength: width, maxLength: width });
          return fc.array(row, { minLength: height, maxLength: height });
        });
      const roundTrip = async (matrix: readonly (readonly unknown[])[]): Promise<void> => {
        const shape = `[${matrix.length},${matrix[0]?.length}]`;
        const lines = matrix.map((row) => row.map(toJson).join(","));
        const flat = `[${lines.join(",")}]`;
        for (const data of [flat, `[${lines.map((line) => `[${line}]`).join(",")}]`]) {
          const response = await inferText(
            echo(datatype),
            `{"inputs":[{"name":"x","datatype":"${datatype}","shape":${shape},"data":${data}}]}`,
          );
          expect(await response.text()).toContain(
            `{"name":"y","datatype":"${datatype}","shape":${shape},"data":${flat}}`,
          );
        }
      };
      await roundTrip([extremes[datatype] ?? [true, false]]);
      await fc.assert(fc.asyncProperty(rows, roundTrip), { numRuns: 10 });
    });
  }

  it("datatype: keeps floats that are large integers beside an exact INT64", async () => {
    const response = await inferText(
      "mixed",
      `{"inputs":[{"name":"x0","datatype":"INT64","shape":[2],"data":[9007199254740993,-1]},` +
        `{"name":"x1","datatype":"FP64","shape":[2],"data":[100000000000000000000,1e300]}]}`,
    );
    expect(await response.text()).toContain(
      `"outputs":[{"name":"y0","datatype":"INT64","shape":[2],"data":[9007199254740993,-1]},` +
        `{"name":"y1","datatype":"FP64","shape":[2],"data":[100000000000000000000,1e+300]}]`,
    );
  });
});
