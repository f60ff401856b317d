import { env } from "cloudflare:workers";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";

import { DATATYPES, type Datatype } from "../../../src/runtime/tensor.ts";
import { edgeOf } from "../../support/edge.ts";
import { gatherGraph, identityGraph, linearGraph } from "../../support/graphs.ts";
import { publishGraph, putCatalog } from "../../support/publish-graph.ts";

/** Each run sends so many hostile requests and a good one: 2,400 in all. */
const HOSTILE = 20;
const RUNS = 120;

// Nobody takes events here: what is behind an answer is not waited for.
const edge = edgeOf({}, { unbound: ["USAGE"] });
const encoder = new TextEncoder();

const ECHOES = ["FP32", "INT64", "BYTES", "UINT8", "BF16"] as const;
const echo = (datatype: string): string => `echo-${datatype.toLowerCase()}`;

/** By what stands for them in the words of a failure. */
const HUGE: Readonly<Record<string, string>> = {
  "deep array": "[".repeat(50_000),
  "deep object": '{"inputs":'.repeat(20_000),
  "long array": `{"inputs":[${"0,".repeat(50_000)}0]}`,
};

interface Hostile {
  readonly model: string;
  readonly header: unknown;
  /** What the header says of its own length, by the length that it has and that of the body. */
  readonly length: (header: number, body: number) => string;
  readonly padding: string;
  readonly bytes: Uint8Array;
}

const rarely = <T>(arbitrary: fc.Arbitrary<T>, than = 12): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: than, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

const dimension = fc.oneof(
  { weight: 6, arbitrary: fc.nat(4) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<unknown>(
      -1,
      0.5,
      65_536,
      2 ** 31 - 1,
      2 ** 31,
      2 ** 32,
      2 ** 32 + 1,
      2 ** 53,
      1e300,
      "2",
      null,
      [1],
    ),
  },
);
const shape = fc.oneof(
  { weight: 8, arbitrary: fc.array(dimension, { minLength: 2, maxLength: 2 }) },
  { weight: 1, arbitrary: fc.array(dimension, { maxLength: 9 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<unknown>([65_536, 65_536], [2 ** 31 - 1, 2 ** 31 - 1, 0]),
  },
  { weight: 1, arbitrary: fc.jsonValue() },
);
const size = fc.oneof(
  { weight: 8, arbitrary: fc.nat(64) },
  { weight: 2, arbitrary: fc.constantFrom<unknown>(4, 8, 16, 32) },
  {
    weight: 2,
    arbitrary: fc.constantFrom<unknown>(
      -1,
      -8,
      0.5,
      2 ** 31,
      2 ** 32,
      2 ** 32 + 8,
      2 ** 53,
      2 ** 64,
      1e300,
      null,
      "8",
      true,
      [],
      {},
    ),
  },
);
const tensor = fc.record(
  {
    name: fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom("x", "index") },
      { weight: 1, arbitrary: fc.constantFrom<unknown>("__proto__", "toString", "", null, 1) },
    ),
    datatype: fc.constantFrom<unknown>(...ECHOES, "FP16", "BOOL", "float", null),
    shape,
    parameters: fc.oneof(
      { weight: 8, arbitrary: fc.record({ binary_data_size: size }) },
      { weight: 1, arbitrary: fc.jsonValue() },
    ),
    data: rarely(fc.jsonValue()),
  },
  { requiredKeys: ["name", "datatype", "shape", "parameters"] },
);
/** A request that is right but for what is changed of it. */
const nearly = fc
  .tuple(fc.constantFrom(...ECHOES), fc.nat(3), size)
  .chain(([datatype, rows, lie]) => {
    const bytes = rows * 2 * (datatype === "BYTES" ? 4 : DATATYPES[datatype].bytes);
    return fc.constantFrom<unknown>(bytes, bytes, bytes, lie).map((said) => ({
      model: echo(datatype),
      inputs: [{ name: "x", datatype, shape: [rows, 2], parameters: { binary_data_size: said } }],
    }));
  });
const asked = fc.oneof(
  { weight: 3, arbitrary: nearly },
  {
    weight: 3,
    arbitrary: fc.record({
      model: fc.constantFrom("linear", "gather", ...ECHOES.map(echo)),
      inputs: fc.array(tensor, { maxLength: 3 }),
    }),
  },
);
const output = fc.record(
  {
    name: fc.constantFrom<unknown>("y", "y", "sum", "z", null),
    parameters: fc.record(
      {
        binary_data: fc.constantFrom<unknown>(true, false, 1),
        classification: fc.constantFrom<unknown>(0, 1, 3, 2 ** 31 - 1, 2 ** 40, -1, "1"),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: ["name"] },
);
const hostile: fc.Arbitrary<Hostile> = fc
  .record({
    request: asked,
    id: fc.oneof(
      { weight: 8, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.constantFrom("é", "日本", "🦀".repeat(50), "x".repeat(100_000)) },
    ),
    outputs: rarely(fc.array(output, { maxLength: 3 }), 1),
    binary: fc.constantFrom<unknown>(true, true, false, undefined, "true", null),
    document: rarely(fc.constantFrom<unknown>(...Object.keys(HUGE), "{}", "", "\u0000", "[1e999]")),
    length: fc.oneof(
      { weight: 8, arbitrary: fc.constant((header: number) => String(header)) },
      {
        weight: 2,
        arbitrary: fc
          .integer({ min: -9, max: 9 })
          .map((by) => (header: number) => String(header + by)),
      },
      {
        weight: 1,
        arbitrary: fc
          .constantFrom("0", "-1", "4294967295", "9999999999", "1e3", "0x10", "")
          .map((text) => () => text),
      },
      {
        weight: 1,
        arbitrary: fc.nat(8).map((by) => (_: number, body: number) => String(body + by)),
      },
    ),
    padding: fc.constantFrom("", " ", "  ", "   ", "\n\n\n\n\n"),
    bytes: fc.uint8Array({ minLength: 64, maxLength: 64 }),
    fill: fc.constantFrom(undefined, undefined, 0, 0, 0xff),
    missing: fc.oneof(
      { weight: 4, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: fc.integer({ min: -9, max: 9 }) },
    ),
  })
  .map(({ request, id, outputs, binary, document, length, padding, bytes, fill, missing }) => ({
    model: request.model,
    header: document ?? {
      ...(id !== undefined && { id }),
      inputs: request.inputs,
      ...(outputs !== undefined && { outputs }),
      ...(binary !== undefined && { parameters: { binary_data_output: binary } }),
    },
    length,
    padding,
    bytes: payloadOf(request.inputs, missing, fill === undefined ? bytes : bytes.fill(fill)),
  }));

/** As many bytes as the inputs say where that can be, or some too few or too many. */
function payloadOf(inputs: readonly object[], missing: number, bytes: Uint8Array): Uint8Array {
  const said = [...JSON.stringify(inputs).matchAll(/"binary_data_size":(\d{1,2})\b/g)];
  const sum = said.reduce((total, [, digits]) => total + Number(digits), 0);
  return bytes.subarray(0, Math.max(0, sum - missing));
}

function bodyOf({ header, length, padding, bytes }: Hostile) {
  const text = typeof header === "string" ? (HUGE[header] ?? header) : JSON.stringify(header);
  const json = encoder.encode(text + padding);
  const body = new Uint8Array(json.length + bytes.length);
  body.set(json);
  body.set(bytes, json.length);
  return { body, said: length(json.length, body.length) };
}

async function attack(request: Hostile): Promise<number> {
  const { body, said } = bodyOf(request);
  const headers = { "inference-header-content-length": said };
  const path = `/v2/models/${request.model}/infer`;
  const { response } = await edge.begin(path, { method: "POST", headers, body });
  // Plain words: an expectation costs more than a request.
  if (response.status !== 200) {
    const { error } = await response.json<{ error?: unknown }>();
    const isRefusal = [400, 413, 415, 422].includes(response.status) && typeof error === "string";
    if (!isRefusal) throw new Error(`It answered ${response.status}: ${String(error)}`);
    return response.status;
  }
  const answer = new Uint8Array(await response.arrayBuffer());
  const length = response.headers.get("inference-header-content-length");
  const isEcho = request.model.startsWith("echo") && typeof request.header === "object";
  const isClassified = /classification/.test(JSON.stringify(request.header));
  // An echo gives back what came, and nothing that lay beside it.
  if (length !== null && isEcho && said !== "0" && !isClassified) {
    const [sent, got] = [request.bytes, answer.subarray(Number(length))].map(String);
    if (got !== "" && got !== sent) throw new Error(`It was sent ${sent}, and gave back ${got}.`);
  }
  return 200;
}

beforeAll(async () => {
  const manifests = [
    await publishGraph(env.MODELS, "linear", linearGraph(2, 2)),
    await publishGraph(env.MODELS, "gather", gatherGraph(4)),
  ];
  for (const datatype of ECHOES) {
    manifests.push(
      await publishGraph(env.MODELS, echo(datatype), identityGraph(datatype as Datatype, 2)),
    );
  }
  await putCatalog(env.CATALOG, manifests);
});

describe("tensors as bytes that lie", () => {
  it("never fail the server, never show what is not theirs, and leave the next request alone", async () => {
    const seen = new Map<number, number>();
    const property = fc.asyncProperty(
      fc.array(hostile, { minLength: HOSTILE, maxLength: HOSTILE }),
      async (requests) => {
        for (const request of requests) {
          const status = await attack(request);
          seen.set(status, (seen.get(status) ?? 0) + 1);
        }
        const { response } = await edge.begin("/v2/models/linear/infer", {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: `{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]}`,
        });
        const { outputs } = await response.json<{
          outputs: readonly { data: readonly number[] }[];
        }>();
        expect(outputs[0]?.data).toEqual([Math.fround(1.004), Math.fround(1.007)]);
      },
    );
    await fc.assert(property, { numRuns: RUNS, endOnFailure: true });
    // Not all of them are refused at the door.
    expect(seen.get(200) ?? 0).toBeGreaterThan(50);
    expect(seen.get(400) ?? 0).toBeGreaterThan(500);
  });

  it.each<[string, string, string]>([
    ["in a character", '{"id":"é"}', "8"],
    ["in a number", '{"inputs":[{"shape":[12,34]}]}', "22"],
    ["beyond the body", "{}", "3"],
    ["before it begins", "{}", "-1"],
  ])("are refused when their JSON ends %s", async (_, header, said) => {
    const status = await attack({
      model: "linear",
      header,
      length: () => said,
      padding: "",
      bytes: new Uint8Array(8),
    });
    expect(status).toBe(400);
  });

  it("may be NaN, which is a number to a model", async () => {
    const bytes = new Uint8Array(Float32Array.of(Number.NaN, 1).buffer);
    const inputs = [
      { name: "x", datatype: "FP32", shape: [1, 2], parameters: { binary_data_size: 8 } },
    ];
    const parameters = { binary_data_output: true };
    const header = { inputs, parameters };
    const length = (json: number): string => String(json);
    expect(await attack({ model: "echo-fp32", header, length, padding: "", bytes })).toBe(200);
  });
});
