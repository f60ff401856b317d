import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { NearsideError } from "../../../src/errors.ts";
import {
  decodeBinaryRequest,
  decodeBinaryResponse,
  encodeBinaryRequest,
  encodeBinaryResponse,
  headerLengthOf,
} from "../../../src/protocol/open-inference/binary.ts";
import {
  arrayOf,
  type Datatype,
  DATATYPES,
  elementCount,
  type NumericDatatype,
  type Tensor,
} from "../../../src/runtime/tensor.ts";

const shapes = fc.array(fc.nat(3), { maxLength: 4 });

/** Any tensor: any bits at all, but for strings, which are UTF-8. */
const tensors: fc.Arbitrary<Tensor> = fc
  .tuple(fc.constantFrom(...(Object.keys(DATATYPES) as Datatype[])), shapes)
  .chain(([datatype, shape]) => {
    const count = elementCount(shape);
    const exactly = { minLength: count, maxLength: count };
    if (datatype === "BYTES") {
      return fc
        .array(fc.string({ unit: "grapheme" }), exactly)
        .map((data): Tensor => ({ datatype, shape, data }));
    }
    const bytes = count * DATATYPES[datatype].bytes;
    return fc.uint8Array({ minLength: bytes, maxLength: bytes }).map(
      (data) =>
        ({
          datatype,
          shape,
          data: new (arrayOf(datatype as NumericDatatype))(Uint8Array.from(data).buffer),
        }) as Tensor,
    );
  });
const named = fc.dictionary(fc.string({ minLength: 1 }), tensors, { maxKeys: 4 });

/** Its bits, so that NaN is equal to itself and -0 is not 0. */
const bitsOf = ({ datatype, shape, data }: Tensor) => ({
  datatype,
  shape,
  bits:
    datatype === "BYTES"
      ? data
      : Array.from(
          new Uint8Array(
            (data as Uint8Array).buffer,
            (data as Uint8Array).byteOffset,
            (data as Uint8Array).byteLength,
          ),
        ),
});
const allBits = (all: Readonly<Record<string, Tensor>>) =>
  Object.entries(all).map(([name, tensor]) => [name, bitsOf(tensor)]);

const encoder = new TextEncoder();
const fp32 = (...data: number[]): Tensor => ({
  datatype: "FP32",
  shape: [data.length],
  data: Float32Array.from(data),
});
const codeOf = (run: () => unknown): unknown => {
  try {
    run();
  } catch (error) {
    if (error instanceof NearsideError) return [error.code, error.field];
    throw error;
  }
  return "no error";
};
const bodyOf = (header: unknown, ...bytes: number[]) => {
  const json = encoder.encode(typeof header === "string" ? header : JSON.stringify(header));
  return { bytes: Uint8Array.from([...json, ...bytes]), headerLength: json.length };
};

describe("a request in binary", () => {
  it("arrives as it was sent, bit by bit", () => {
    fc.assert(
      fc.property(named, fc.option(fc.string(), { nil: undefined }), (inputs, id) => {
        const { body, headerLength } = encodeBinaryRequest({ id, inputs, outputs: ["y"] });
        const decoded = decodeBinaryRequest(body, headerLength);
        expect(decoded.id).toBe(id);
        expect(allBits(decoded.inputs)).toEqual(allBits(inputs));
        expect(decoded.outputs).toEqual([{ name: "y", binary: true }]);
      }),
      { numRuns: 200 },
    );
  });

  it("is laid out as Triton has it: JSON, then each tensor's bytes, a string after its length", () => {
    const { body, headerLength } = encodeBinaryRequest({
      inputs: { x: fp32(1), s: { datatype: "BYTES", shape: [2], data: ["é", ""] } },
    });
    expect(JSON.parse(new TextDecoder().decode(body.subarray(0, headerLength)))).toEqual({
      inputs: [
        { name: "x", datatype: "FP32", shape: [1], parameters: { binary_data_size: 4 } },
        { name: "s", datatype: "BYTES", shape: [2], parameters: { binary_data_size: 10 } },
      ],
      parameters: { binary_data_output: true },
    });
    expect([...body.subarray(headerLength)]).toEqual([
      0, 0, 0x80, 0x3f, 2, 0, 0, 0, 0xc3, 0xa9, 0, 0, 0, 0,
    ]);
  });

  it("may be JSON alone, with integers of 64 bits", () => {
    const { bytes } = bodyOf(
      '{"inputs":[{"name":"i","datatype":"INT64","shape":[2],"data":[9007199254740993,-1]}]}',
    );
    const { inputs, outputs, binaryOutputs } = decodeBinaryRequest(bytes, undefined);
    expect(inputs["i"]?.data).toEqual(BigInt64Array.of(9007199254740993n, -1n));
    expect([outputs, binaryOutputs]).toEqual([undefined, false]);
  });

  it("may mix JSON and bytes", () => {
    const { bytes, headerLength } = bodyOf(
      {
        inputs: [
          { name: "a", datatype: "INT8", shape: [1, 2], data: [[1, -2]] },
          { name: "b", datatype: "UINT8", shape: [2], parameters: { binary_data_size: 2 } },
        ],
        outputs: [{ name: "y" }, { name: "z", parameters: { binary_data: false } }],
        parameters: { binary_data_output: true },
      },
      7,
      8,
    );
    const { inputs, outputs } = decodeBinaryRequest(bytes, headerLength);
    expect(inputs["a"]?.data).toEqual(Int8Array.of(1, -2));
    expect(inputs["b"]?.data).toEqual(Uint8Array.of(7, 8));
    expect(outputs).toEqual([
      { name: "y", binary: true },
      { name: "z", binary: false },
    ]);
  });

  const x = (more: object) => ({ inputs: [{ name: "x", datatype: "FP32", shape: [1], ...more }] });
  const sized = (size: unknown) => x({ parameters: { binary_data_size: size } });
  const SIZE = "inputs[0].parameters.binary_data_size";

  it.each<[string, unknown, number[], string, string | undefined]>([
    ["no JSON", "{", [], "invalid_json", undefined],
    ["an array", [], [], "invalid_request", undefined],
    ["no inputs", {}, [], "invalid_request", "inputs"],
    ["an id that is a number", { id: 1, inputs: [] }, [], "invalid_request", "id"],
    ["a shape with a hole", x({ shape: [null] }), [], "invalid_request", "inputs[0].shape"],
    ["a datatype of its own", x({ datatype: "FP8" }), [], "invalid_request", "inputs[0].datatype"],
    ["fewer bytes than it says", sized(4), [1, 2, 3], "invalid_request", SIZE],
    ["more bytes than it says", sized(4), [1, 2, 3, 4, 5], "invalid_request", undefined],
    ["a size that does not fit the shape", sized(3), [1, 2, 3], "invalid_tensor", SIZE],
    ["a size below nothing", sized(-4), [1, 2, 3, 4], "invalid_request", SIZE],
    ["a size in words", sized("4"), [1, 2, 3, 4], "invalid_request", SIZE],
    [
      "both forms of data",
      x({ data: [1], parameters: { binary_data_size: 4 } }),
      [1, 2, 3, 4],
      "invalid_request",
      "inputs[0]",
    ],
    [
      "outputs without names",
      { inputs: [], outputs: [{}] },
      [],
      "invalid_request",
      "outputs[0].name",
    ],
  ])("is refused with %s", (_, header, rest, code, field) => {
    const { bytes, headerLength } = bodyOf(header, ...rest);
    expect(codeOf(() => decodeBinaryRequest(bytes, headerLength))).toEqual([code, field]);
  });

  it.each<[string, number[]]>([
    ["a length that is cut off", [1, 0, 0]],
    ["a string that is cut off", [2, 0, 0, 0, 65]],
    ["a string too many", [0, 0, 0, 0, 0, 0, 0, 0]],
    ["no string", []],
    ["what is not UTF-8", [1, 0, 0, 0, 0xff]],
  ])("is refused when its strings have %s", (_, rest) => {
    const { bytes, headerLength } = bodyOf(
      x({ datatype: "BYTES", parameters: { binary_data_size: rest.length } }),
      ...rest,
    );
    expect(codeOf(() => decodeBinaryRequest(bytes, headerLength))).toEqual([
      "invalid_tensor",
      SIZE,
    ]);
  });

  it("is refused when the header is longer than the body", () => {
    expect(codeOf(() => decodeBinaryRequest(encoder.encode("{}").slice(), 3))).toEqual([
      "invalid_request",
      "inference-header-content-length",
    ]);
  });
});

describe("an answer in binary", () => {
  it("arrives as it was sent, whichever outputs are bytes", () => {
    fc.assert(
      fc.property(named, (tensorsByName) => {
        const entries = Object.entries(tensorsByName);
        const { body, headerLength } = encodeBinaryResponse({
          model: "m",
          version: "1",
          outputs: entries.map(([name, tensor]) => ({ name, tensor, binary: true })),
        });
        expect(headerLength === undefined).toBe(entries.length === 0);
        expect(allBits(decodeBinaryResponse(body, headerLength))).toEqual(allBits(tensorsByName));
      }),
      { numRuns: 200 },
    );
  });

  it("may be JSON alone, and then has no length to tell", () => {
    const { body, headerLength } = encodeBinaryResponse({
      model: "m",
      id: "7",
      outputs: [{ name: "y", tensor: fp32(1.5, -2), binary: false }],
    });
    expect(headerLength).toBeUndefined();
    expect(JSON.parse(new TextDecoder().decode(body))).toEqual({
      model_name: "m",
      id: "7",
      outputs: [{ name: "y", datatype: "FP32", shape: [2], data: [1.5, -2] }],
    });
    expect(decodeBinaryResponse(body, undefined)["y"]).toEqual(fp32(1.5, -2));
  });

  it("does not fail otherwise than as an origin's, whatever comes", () => {
    const { body, headerLength } = encodeBinaryResponse({
      model: "m",
      outputs: [{ name: "y", tensor: fp32(1, 2, 3), binary: true }],
    });
    fc.assert(
      fc.property(fc.nat(body.length - 1), fc.nat(255), fc.nat(body.length), (at, byte, end) => {
        const bytes = body.slice(0, end);
        if (at < end) bytes[at] = byte;
        expect(["no error", ["origin_failed", undefined]]).toContainEqual(
          codeOf(() => decodeBinaryResponse(bytes, headerLength)),
        );
      }),
    );
    for (const length of [Number.NaN, -1, 1e9]) {
      expect(codeOf(() => decodeBinaryResponse(body, length))).toEqual([
        "origin_failed",
        undefined,
      ]);
    }
  });
});

describe("headerLengthOf", () => {
  it.each([
    [undefined, undefined],
    ["12", 12],
    ["0", 0],
  ])("reads %s as %s", (value, expected) => {
    const headers = new Headers(
      value === undefined ? {} : { "inference-header-content-length": value },
    );
    expect(headerLengthOf(headers)).toBe(expected);
  });

  it.each(["-1", "1.5", "1e3", "many", "99999999999"])("refuses %s", (value) => {
    const headers = new Headers({ "inference-header-content-length": value });
    expect(codeOf(() => headerLengthOf(headers))).toEqual([
      "invalid_request",
      "inference-header-content-length",
    ]);
  });
});
