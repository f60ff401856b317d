import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { NearsideError } from "../../../src/errors.ts";
import {
  decodeBinaryRequest,
  encodeBinaryRequest,
} from "../../../src/protocol/open-inference/binary.ts";
import { decodeInferRequest, feedsOf } from "../../../src/protocol/open-inference/decode.ts";
import { bodyForPool } from "../../../src/protocol/open-inference/pool-form.ts";
import { manifestOf } from "../../support/manifests.ts";

const manifest = manifestOf({
  inputs: [
    { name: "x", datatype: "FP32", shape: [-1, 2] },
    { name: "pictures", datatype: "BYTES", shape: [-1] },
  ],
  outputs: [
    { name: "y", datatype: "FP32", shape: [-1] },
    { name: "z", datatype: "FP32", shape: [-1] },
  ],
});
const MAX_BATCH = 4;
const FAR = { placement: "origin", maxBatch: MAX_BATCH } as const;
const HERE = { placement: "edge", maxBatch: MAX_BATCH } as const;

const X = { name: "x", datatype: "FP32", shape: [1, 2], parameters: { binary_data_size: 8 } };
const PICTURES = {
  name: "pictures",
  datatype: "BYTES",
  shape: [1],
  parameters: { binary_data_size: 6 },
};
/** One picture of two bytes, which are no UTF-8. */
const PICTURE = [2, 0, 0, 0, 0xff, 0xd8];
const BYTES = [0, 0, 0x80, 0x3f, 0, 0, 0xc0, 0x7f, ...PICTURE];

const TWIN = { name: "pictures", datatype: "BYTES", shape: [1], data: ["a"] };
const TEXT = [1, 0, 0, 0, 65];

/** A body of this JSON and these bytes. */
function bodyOf(header: unknown, bytes: readonly number[] = BYTES) {
  const json = new TextEncoder().encode(
    typeof header === "string" ? header : JSON.stringify(header),
  );
  return { bytes: Uint8Array.from([...json, ...bytes]), headerLength: json.length };
}

function decode(
  header: unknown,
  bytes?: readonly number[],
  limits: typeof FAR | typeof HERE = FAR,
) {
  const body = bodyOf(header, bytes);
  return decodeInferRequest(body.bytes, body.headerLength, manifest, limits);
}

/** The JSON that a pool gets, and the bytes behind it. */
function encoded(header: unknown, bytes?: readonly number[]) {
  const { body, headerLength = 0 } = bodyForPool(new Uint8Array(), decode(header, bytes));
  return {
    json: JSON.parse(new TextDecoder().decode(body.subarray(0, headerLength))) as unknown,
    bytes: [...body.subarray(headerLength)],
  };
}

describe("a request with tensors as bytes", () => {
  it("goes on with its bytes as they are, and what was read of its JSON", () => {
    const header = { id: "1", inputs: [X, PICTURES], outputs: [{ name: "z" }], unknown: 1 };
    expect(encoded(header)).toEqual({
      json: {
        id: "1",
        inputs: [X, PICTURES],
        outputs: [{ name: "z", parameters: { binary_data: false } }],
      },
      bytes: BYTES,
    });
  });

  it("asks for all outputs where it names none, in the form that it asks for", () => {
    const { outputs } = decode({
      inputs: [X, PICTURES],
      parameters: { binary_data_output: true, priority: 1 },
    });
    expect(outputs).toEqual([
      { name: "y", binary: true },
      { name: "z", binary: true },
    ]);
  });

  it("may have tensors in its JSON, too", () => {
    const inJson = { name: "x", datatype: "FP32", shape: [1, 2], data: [[1, 2]] };
    expect(encoded({ inputs: [PICTURES, inJson] }, PICTURE)).toMatchObject({
      json: { inputs: [PICTURES, { ...inJson, data: [1, 2] }] },
      bytes: PICTURE,
    });
  });

  it("means to a pool what it meant to the edge", () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ noNaN: true }), { minLength: 2, maxLength: 2 }),
        fc.array(fc.string(), { minLength: 1, maxLength: MAX_BATCH }),
        (numbers, texts) => {
          const inputs = {
            x: { datatype: "FP32", shape: [1, 2], data: Float32Array.from(numbers) },
            pictures: { datatype: "BYTES", shape: [texts.length], data: texts },
          } as const;
          const { body, headerLength } = encodeBinaryRequest({ inputs, outputs: ["y"] });
          const again = bodyForPool(body, decodeInferRequest(body, headerLength, manifest, FAR));
          expect(decodeBinaryRequest(again.body, again.headerLength)).toEqual({
            ...decodeBinaryRequest(body, headerLength),
            binaryOutputs: false,
          });
        },
      ),
    );
  });

  it("asks a pool for the classes that it asks for", () => {
    const outputs = [{ name: "z", parameters: { classification: 3, binary_data: true } }];
    expect(encoded({ inputs: [X, PICTURES], outputs })).toMatchObject({ json: { outputs } });
  });

  it("goes on as JSON with its own digits when nothing of it is bytes", () => {
    const json = { name: "x", datatype: "FP32", shape: [1, 2], data: [0.1, 2] };
    const outputs = [{ name: "y", parameters: { classification: 1 } }];
    const { bytes } = bodyOf({ inputs: [json, TWIN], outputs, unknown: 1 }, []);
    const request = decodeInferRequest(bytes, undefined, manifest, HERE);
    const { body, headerLength } = bodyForPool(bytes, request);
    expect(headerLength).toBeUndefined();
    expect(JSON.parse(new TextDecoder().decode(body))).toEqual({ inputs: [json, TWIN], outputs });
  });

  it("feeds a session the bytes of the body themselves, wherever they stand in it", () => {
    for (const padding of ["", " ", "  ", "   "]) {
      const header = `${padding}${JSON.stringify({ inputs: [X, { ...PICTURES, parameters: { binary_data_size: 5 } }] })}`;
      const { bytes, headerLength } = bodyOf(header, [...BYTES.slice(0, 8), ...TEXT]);
      const feeds = feedsOf(decodeInferRequest(bytes, headerLength, manifest, HERE));
      const x = feeds["x"];
      if (x === undefined || !("bytes" in x)) throw new Error("the input became elements");
      expect(x.bytes.buffer).toBe(bytes.buffer);
      expect([x.bytes.byteOffset, x.bytes.length]).toEqual([headerLength, 8]);
      expect(feeds["pictures"]).toEqual({ datatype: "BYTES", shape: [1], data: ["A"] });
    }
  });

  it.each<[string, number[], string]>([
    ["no UTF-8", PICTURE, "String 0 is not UTF-8, and BYTES are texts here."],
    ["a NUL", [2, 0, 0, 0, 65, 0], "without NUL"],
  ])("is refused here when its strings have %s", (_, string, words) => {
    const bytes = [...BYTES.slice(0, 8), ...string];
    expect(() => decode({ inputs: [X, PICTURES] }, bytes, HERE)).toThrow(words);
    expect(() => decode({ inputs: [X, PICTURES] }, bytes, FAR)).not.toThrow();
  });

  const withX = (change: object) => ({ inputs: [{ ...X, ...change }, PICTURES] });

  it.each<[string, unknown, string, string]>([
    ["has no such input", { inputs: [{ ...X, name: "w" }] }, "invalid_tensor", "inputs[0].name"],
    ["lacks an input", { inputs: [X] }, "invalid_tensor", "inputs"],
    ["names one twice", { inputs: [X, PICTURES, TWIN] }, "invalid_request", "inputs[2].name"],
    ["is of another datatype", withX({ datatype: "FP64" }), "invalid_tensor", "inputs[0].datatype"],
    ["is of another shape", withX({ shape: [2] }), "invalid_tensor", "inputs[0].shape"],
    ["is empty", withX({ shape: [0, 2] }), "invalid_tensor", "inputs[0].shape"],
    ["is a batch too large", withX({ shape: [5, 2] }), "batch_too_large", "inputs[0].shape[0]"],
    [
      "has other bytes than its shape",
      withX({ shape: [2, 2] }),
      "invalid_tensor",
      "inputs[0].parameters.binary_data_size",
    ],
    [
      "has more texts than its shape",
      { inputs: [X, { ...PICTURES, shape: [2] }] },
      "invalid_tensor",
      "inputs[1].parameters.binary_data_size",
    ],
    [
      "reads memory of others",
      withX({ parameters: { ...X.parameters, shared_memory_region: "a" } }),
      "invalid_request",
      "inputs[0].parameters.shared_memory_region",
    ],
    [
      "goes on with a sequence of others",
      { inputs: [X, PICTURES], parameters: { sequence_id: 1 } },
      "invalid_request",
      "parameters.sequence_id",
    ],
    [
      "asks for bytes in words",
      { inputs: [X, PICTURES], outputs: [{ name: "y", parameters: { binary_data: "yes" } }] },
      "invalid_request",
      "outputs[0].parameters.binary_data",
    ],
    [
      "asks for all outputs as bytes in words",
      { inputs: [X, PICTURES], parameters: { binary_data_output: 1 } },
      "invalid_request",
      "parameters.binary_data_output",
    ],
    ...[-1, 0.5, "1", true, null, 2 ** 40].map(
      (classification): [string, unknown, string, string] => [
        `asks for ${JSON.stringify(classification)} classes`,
        { inputs: [X, PICTURES], outputs: [{ name: "y", parameters: { classification } }] },
        "invalid_request",
        "outputs[0].parameters.classification",
      ],
    ),
    [
      "has no such output",
      { inputs: [X, PICTURES], outputs: [{ name: "w" }] },
      "invalid_tensor",
      "outputs[0].name",
    ],
  ])("is refused when it %s", (_, header, code, field) => {
    const refusal = (): unknown => {
      try {
        return decode(header);
      } catch (error) {
        if (error instanceof NearsideError) return { code: error.code, field: error.field };
        throw error;
      }
    };
    expect(refusal()).toEqual({ code, field });
  });

  it("is refused when bytes are left over", () => {
    expect(() => decode({ inputs: [X, PICTURES] }, [...BYTES, 0])).toThrow("belong to no tensor");
  });
});
