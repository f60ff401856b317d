import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";

import { GraphBuilder } from "../../../src/publish/onnx/graph-builder.ts";
import { DATATYPES, type Datatype } from "../../../src/runtime/tensor.ts";
import { edgeOf } from "../../support/edge.ts";
import { identityGraph, linearGraph } from "../../support/graphs.ts";
import { publishGraph } from "../../support/publish-graph.ts";
import { TABULAR_TASK, putVersions, tabularGraph } from "../protocol/models.ts";

const ALL_DATATYPES = Object.keys(DATATYPES) as Datatype[];
const MAX_BODY_BYTES = 4 * 1024 * 1024;

const edge = edgeOf();
const encoder = new TextEncoder();

const echo = (datatype: Datatype): string => `echo-${datatype.toLowerCase()}`;

interface Output {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data?: readonly unknown[];
  readonly parameters?: { readonly binary_data_size: number };
}

/** Sends JSON with bytes behind it. */
function inferBytes(
  model: string,
  header: object,
  bytes: readonly number[],
  headers: Record<string, string> = {},
): Promise<Response> {
  const json = encoder.encode(JSON.stringify(header));
  return edge.send(`/v2/models/${model}/infer`, {
    method: "POST",
    headers: { "inference-header-content-length": String(json.length), ...headers },
    body: Uint8Array.from([...json, ...bytes]),
  });
}

/** The outputs of an answer, and the bytes behind its JSON. */
async function answerOf(answering: Promise<Response>) {
  const response = await answering;
  expect(response.status).toBe(200);
  const body = new Uint8Array(await response.arrayBuffer());
  const length = response.headers.get("inference-header-content-length");
  const type = response.headers.get("content-type");
  expect(type).toBe(length === null ? "application/json" : "application/octet-stream");
  const end = length === null ? body.length : Number(length);
  const json = JSON.parse(new TextDecoder().decode(body.subarray(0, end))) as {
    readonly outputs: readonly Output[];
  };
  return { ...json, bytes: [...body.subarray(end)] };
}

async function refusal(answering: Promise<Response>): Promise<number> {
  const response = await answering;
  expect(await response.json()).toMatchObject({ error: expect.any(String) });
  return response.status;
}

const bytesOf = (array: ArrayBufferView): number[] => [
  ...new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
];
const sized = (name: string, datatype: string, shape: readonly number[], size: number) => ({
  name,
  datatype,
  shape,
  parameters: { binary_data_size: size },
});

/** Two tensors in, the same two out. */
function pairGraph(): Uint8Array<ArrayBuffer> {
  const graph = new GraphBuilder("pair");
  for (const [index, datatype] of (["INT16", "FP32"] as const).entries()) {
    graph.input(`x${index}`, datatype, [`n${index}`]);
    graph.op("Identity", [`x${index}`], {}, `y${index}`);
    graph.output(`y${index}`, datatype, [`n${index}`]);
  }
  return graph.toBytes();
}

beforeAll(async () => {
  const manifests = [
    await publishGraph(env.MODELS, "linear", linearGraph(2, 2)),
    await publishGraph(env.MODELS, "pair", pairGraph()),
    await publishGraph(env.MODELS, "classes", tabularGraph(), { task: TABULAR_TASK }),
    await publishGraph(env.MODELS, "scores", identityGraph("FP32", 1)),
  ];
  for (const datatype of ALL_DATATYPES) {
    manifests.push(await publishGraph(env.MODELS, echo(datatype), identityGraph(datatype, 2)));
  }
  await putVersions(env.CATALOG, manifests);
});

describe("binary tensor data", () => {
  const X0 = sized("x0", "INT16", [2], 4);
  const X1 = sized("x1", "FP32", [1], 4);
  const BYTES = [1, 0, 2, 0, 0, 0, 0x80, 0x3f];

  it("binary-input: takes tensors from behind the JSON, in the order of the inputs", async () => {
    for (const [inputs, bytes] of [
      [[X0, X1], BYTES],
      [
        [X1, X0],
        [...BYTES.slice(4), ...BYTES.slice(0, 4)],
      ],
    ] as const) {
      const { outputs } = await answerOf(inferBytes("pair", { inputs }, bytes));
      expect(outputs).toMatchObject([{ data: [1, 2] }, { data: [1] }]);
    }
  });

  it("binary-header: reads as much JSON as the header says, and needs to be told", async () => {
    const json = JSON.stringify({ inputs: [X0, X1] });
    const send = (length: number | undefined, type: string): Promise<Response> =>
      edge.send("/v2/models/pair/infer", {
        method: "POST",
        headers: {
          "content-type": type,
          ...(length !== undefined && { "inference-header-content-length": String(length) }),
        },
        body: Uint8Array.from([...encoder.encode(json), ...BYTES]),
      });
    for (const type of ["application/octet-stream", "application/json"]) {
      expect((await send(json.length, type)).status).toBe(200);
    }
    for (const length of [undefined, json.length - 1, json.length + 1, 1e6, -1]) {
      expect(await refusal(send(length, "application/json"))).toBe(400);
    }
  });

  it("binary-mixed: takes some inputs as bytes and others as JSON", async () => {
    const inJson = { name: "x1", datatype: "FP32", shape: [1], data: [0.5] };
    for (const inputs of [
      [X0, inJson],
      [inJson, X0],
    ]) {
      const { outputs } = await answerOf(inferBytes("pair", { inputs }, BYTES.slice(0, 4)));
      expect(outputs).toMatchObject([{ data: [1, 2] }, { data: [0.5] }]);
    }
  });

  it("binary-output: returns an output as bytes where it is asked for so", async () => {
    const outputs = [
      { name: "y1", parameters: { binary_data: true } },
      { name: "y0", parameters: { binary_data: false } },
    ];
    const answer = await answerOf(inferBytes("pair", { inputs: [X0, X1], outputs }, BYTES));
    expect(answer.outputs).toEqual([
      sized("y1", "FP32", [1], 4),
      { name: "y0", datatype: "INT16", shape: [2], data: [1, 2] },
    ]);
    expect(answer.bytes).toEqual(BYTES.slice(4));
  });

  it("binary-outputs: returns all of them as bytes where the request asks for that", async () => {
    const parameters = { binary_data_output: true };
    const all = await answerOf(inferBytes("pair", { inputs: [X0, X1], parameters }, BYTES));
    expect(all.outputs).toEqual([sized("y0", "INT16", [2], 4), sized("y1", "FP32", [1], 4)]);
    expect(all.bytes).toEqual(BYTES);
    const outputs = [{ name: "y0", parameters: { binary_data: false } }, { name: "y1" }];
    const one = await answerOf(
      inferBytes("pair", { inputs: [X0, X1], outputs, parameters }, BYTES),
    );
    expect(one.outputs).toMatchObject([{ name: "y0", data: [1, 2] }, sized("y1", "FP32", [1], 4)]);
    expect(one.bytes).toEqual(BYTES.slice(4));
  });

  it("binary-outputs: also of a request that is JSON alone", async () => {
    const inputs = [{ name: "x", datatype: "FP32", shape: [1, 2], data: [0, 0] }];
    const parameters = { binary_data_output: true };
    const { outputs, bytes } = await answerOf(edge.infer("linear", inputs, { parameters }));
    expect(outputs).toEqual([sized("y", "FP32", [1, 2], 8), sized("sum", "FP32", [], 4)]);
    expect(bytes).toEqual(bytesOf(Float32Array.of(1, 1, 2)));
  });

  const bits: Partial<Record<Datatype, number[]>> = {
    BOOL: [1, 0],
    FP16: bytesOf(Uint16Array.of(0x3c00, 0xfc01)),
    BF16: bytesOf(Uint16Array.of(0x3f80, 0xff81)),
    FP32: bytesOf(Float32Array.of(-0, Number.NaN)),
    FP64: bytesOf(Float64Array.of(1e300, -Infinity)),
    BYTES: [3, 0, 0, 0, 0xe6, 0x97, 0xa5, 0, 0, 0, 0],
  };
  for (const datatype of ALL_DATATYPES) {
    it(`binary-layout: carries ${datatype} there and back bit by bit`, async () => {
      const width = DATATYPES[datatype].bytes;
      const bytes = bits[datatype] ?? Array.from({ length: 2 * width }, (_, at) => 0x81 + at);
      const parameters = { binary_data_output: true };
      for (const shape of [
        [1, 2],
        [2, 1],
      ]) {
        const inputs = [sized("x", datatype, shape, bytes.length)];
        const answer = await answerOf(inferBytes(echo(datatype), { inputs, parameters }, bytes));
        expect(answer.outputs).toEqual([sized("y", datatype, shape, bytes.length)]);
        expect(answer.bytes).toEqual(bytes);
      }
      const none = [sized("x", datatype, [0, 2], 0)];
      expect(await refusal(inferBytes(echo(datatype), { inputs: none, parameters }, []))).toBe(400);
    });
  }

  it("binary-layout: carries batches of strings", async () => {
    const texts = ["", "日本語", "a\nb", "🦀"];
    const inputs = [{ name: "x", datatype: "BYTES", shape: [4, 1], data: texts }];
    const parameters = { binary_data_output: true };
    const there = await answerOf(edge.infer(echo("BYTES"), inputs, { parameters }));
    const size = texts.reduce((sum, text) => sum + 4 + encoder.encode(text).length, 0);
    expect(there.outputs).toEqual([sized("y", "BYTES", [4, 1], size)]);
    const again = [sized("x", "BYTES", [4, 1], size)];
    const back = await answerOf(inferBytes(echo("BYTES"), { inputs: again }, there.bytes));
    expect(back.outputs).toMatchObject([{ datatype: "BYTES", shape: [4, 1], data: texts }]);
  });

  it("binary-error: refuses sizes that do not fit the shape, the bytes or each other", async () => {
    const whole = sized("x", "FP32", [1, 2], 8);
    const eight = Array<number>(8).fill(0);
    const cases: readonly [object, readonly number[]][] = [
      [{ ...whole, parameters: { binary_data_size: 7 } }, eight.slice(1)],
      [{ ...whole, parameters: { binary_data_size: 12 } }, [...eight, 0, 0, 0, 0]],
      [{ ...whole, parameters: { binary_data_size: -8 } }, eight],
      [{ ...whole, parameters: { binary_data_size: 8.5 } }, eight],
      [{ ...whole, parameters: { binary_data_size: "8" } }, eight],
      [{ ...whole, data: [1, 2] }, eight],
      [whole, eight.slice(1)],
      [whole, [...eight, 0]],
      [{ ...whole, shape: [1, 2 ** 31 - 1] }, eight],
    ];
    for (const [input, bytes] of cases) {
      expect(await refusal(inferBytes("linear", { inputs: [input] }, bytes))).toBe(400);
    }
    for (const strings of [
      [5, 0, 0, 0, 65],
      [1, 0, 0, 0, 0xff],
      [0xff, 0xff, 0xff, 0xff],
    ]) {
      const inputs = [sized("x", "BYTES", [1, 1], strings.length)];
      expect(await refusal(inferBytes(echo("BYTES"), { inputs }, strings))).toBe(400);
    }
  });

  it("binary-raw: takes a body without JSON for the one input of a model", async () => {
    const raw = (model: string, bytes: readonly number[]): Promise<Response> =>
      edge.send(`/v2/models/${model}/infer`, {
        method: "POST",
        headers: { "inference-header-content-length": "0" },
        body: Uint8Array.from(bytes),
      });
    const { outputs, bytes } = await answerOf(raw("linear", Array<number>(16).fill(0)));
    expect(outputs).toEqual([sized("y", "FP32", [2, 2], 16), sized("sum", "FP32", [], 4)]);
    expect(bytes).toEqual(bytesOf(Float32Array.of(1, 1, 1, 1, 4)));
    const text = await answerOf(raw(echo("BYTES"), [0xc3, 0xa9]));
    expect(text).toMatchObject({
      outputs: [{ shape: [1, 1] }],
      bytes: [2, 0, 0, 0, 0xc3, 0xa9],
    });
    // Two inputs; two open dimensions; half a row.
    for (const [model, length] of [
      ["pair", 8],
      [echo("FP32"), 8],
      ["linear", 12],
    ] as const) {
      expect(await refusal(raw(model, Array<number>(length).fill(0)))).toBe(400);
    }
  });
});

describe("classification", () => {
  const rows = [{ name: "features", datatype: "FP32", shape: [2, 2], data: [3, 0, 0, 0] }];
  const asked = (classification: unknown, more: object = {}, name = "probabilities") => [
    { name, parameters: { classification, ...more } },
  ];

  it("classification: returns an output's best classes as strings, for each of the batch", async () => {
    const { outputs } = await answerOf(edge.infer("classes", rows, { outputs: asked(2) }));
    expect(outputs).toMatchObject([{ name: "probabilities", datatype: "BYTES", shape: [2, 2] }]);
    expect(outputs[0]?.data?.length).toBe(4);
  });

  it("classification-order: has the highest values first, in the output's own datatype", async () => {
    const scores = [{ name: "x", datatype: "FP32", shape: [4], data: [1, 5, 10, 4] }];
    const { outputs } = await answerOf(
      edge.infer("scores", scores, { outputs: asked(2, {}, "y") }),
    );
    expect(outputs).toEqual([
      { name: "y", datatype: "BYTES", shape: [2], data: ["10.000000:2", "5.000000:1"] },
    ]);
    const longs = `{"inputs":[{"name":"x","datatype":"INT64","shape":[1,2],"data":[9007199254740992,9007199254740993]}],"outputs":${JSON.stringify(asked(1, {}, "y"))}}`;
    const response = edge.send(`/v2/models/${echo("INT64")}/infer`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: longs,
    });
    expect((await answerOf(response)).outputs).toMatchObject([{ data: ["9007199254740993:1"] }]);
  });

  it("classification-format: writes value, index, and the label where there is one", async () => {
    const { outputs } = await answerOf(edge.infer("classes", rows, { outputs: asked(1) }));
    const [long, square] = (outputs[0]?.data ?? []) as string[];
    expect(long).toMatch(/^0\.87\d{4}:0:long$/);
    expect(square).toMatch(/^0\.5\d{5}:2:square$/);
    const unnamed = await answerOf(edge.infer("classes", rows, { outputs: asked(1, {}, "label") }));
    expect(unnamed.outputs).toMatchObject([{ shape: [1], data: ["2:1"] }]);
  });

  it("classification-count: gives all classes where more are asked for, and none for 0", async () => {
    const all = await answerOf(edge.infer("classes", rows, { outputs: asked(100) }));
    expect(all.outputs).toMatchObject([{ shape: [2, 3] }]);
    const none = await answerOf(edge.infer("classes", rows, { outputs: asked(0) }));
    expect(none.outputs).toMatchObject([{ datatype: "FP32", shape: [2, 3] }]);
    for (const wrong of [-1, 1.5, "1", null, true]) {
      const request = edge.infer("classes", rows, { outputs: asked(wrong) });
      expect(await refusal(request)).toBe(400);
    }
    for (const datatype of ["BYTES", "BOOL"] as const) {
      const inputs = [{ name: "x", datatype, shape: [0, 1], data: [] }];
      const request = edge.infer(echo(datatype), inputs, { outputs: asked(1, {}, "y") });
      expect(await refusal(request)).toBe(400);
    }
  });

  it("classification-binary: may be returned as bytes", async () => {
    const outputs = asked(1, { binary_data: true });
    const answer = await answerOf(edge.infer("classes", rows, { outputs }));
    expect(answer.outputs).toEqual([sized("probabilities", "BYTES", [2, 1], answer.bytes.length)]);
    expect(answer.bytes[0]).toBe("0.878878:0:long".length);
  });
});

describe("compression", () => {
  const through = async (bytes: Uint8Array<ArrayBuffer>, transform: CompressionStream) =>
    new Uint8Array(
      await new Response(new Blob([bytes]).stream().pipeThrough(transform)).arrayBuffer(),
    );
  const json = (length: number) =>
    Uint8Array.from(
      encoder.encode(
        JSON.stringify({
          inputs: [
            {
              name: "x",
              datatype: "FP32",
              shape: [1, length],
              data: Array<number>(length).fill(1),
            },
          ],
        }),
      ),
    );
  const post = (body: Uint8Array<ArrayBuffer>, headers: Record<string, string>) =>
    edge.send(`/v2/models/${echo("FP32")}/infer`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body,
    });

  it("compression-request: takes a body in gzip or deflate", async () => {
    for (const coding of ["gzip", "deflate"] as const) {
      const body = await through(json(3), new CompressionStream(coding));
      const { outputs } = await answerOf(post(body, { "content-encoding": coding }));
      expect(outputs).toMatchObject([{ data: [1, 1, 1] }]);
    }
  });

  it("compression-unknown: refuses another coding with 415, and a broken one with 400", async () => {
    expect(await refusal(post(json(3), { "content-encoding": "br" }))).toBe(415);
    expect(await refusal(post(json(3), { "content-encoding": "gzip" }))).toBe(400);
  });

  it("compression-limit: refuses what would be too large decompressed", async () => {
    const body = await through(new Uint8Array(MAX_BODY_BYTES + 1), new CompressionStream("gzip"));
    expect(await refusal(post(body, { "content-encoding": "gzip" }))).toBe(413);
  });

  it("compression-response: answers in the coding that the caller prefers", async () => {
    for (const [accepted, coding] of [
      ["gzip", "gzip"],
      ["deflate", "deflate"],
      ["gzip;q=0.2, deflate;q=0.8, identity;q=0.1", "deflate"],
      ["identity", null],
      ["gzip;q=0", null],
    ] as const) {
      const response = await post(json(2_000), { "accept-encoding": accepted });
      expect([accepted, response.headers.get("content-encoding")]).toEqual([accepted, coding]);
      expect(response.headers.get("vary")).toBe("accept-encoding");
    }
  });
});
