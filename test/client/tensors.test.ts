import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { TensorInput } from "../../src/client/tensor.ts";
import { decodeTensors, encodeTensors } from "../../src/client/tensors.ts";
import {
  decodeBinaryRequest,
  encodeBinaryResponse,
} from "../../src/protocol/open-inference/binary.ts";
import { DATATYPES, type Tensor, isDatatype } from "../../src/runtime/tensor.ts";

/** One of each datatype, with its extremes. */
const TENSORS: readonly Tensor[] = [
  { datatype: "BOOL", shape: [3], data: Uint8Array.of(1, 0, 1) },
  { datatype: "UINT8", shape: [3, 1], data: Uint8Array.of(0, 1, 255) },
  { datatype: "UINT16", shape: [1, 2], data: Uint16Array.of(0, 65_535) },
  { datatype: "UINT32", shape: [2], data: Uint32Array.of(0, 4_294_967_295) },
  { datatype: "UINT64", shape: [2], data: BigUint64Array.of(0n, 18_446_744_073_709_551_615n) },
  { datatype: "INT8", shape: [2], data: Int8Array.of(-128, 127) },
  { datatype: "INT16", shape: [2], data: Int16Array.of(-32_768, 32_767) },
  { datatype: "INT32", shape: [], data: Int32Array.of(-2_147_483_648) },
  { datatype: "INT64", shape: [2], data: BigInt64Array.of(-9_223_372_036_854_775_808n, 7n) },
  { datatype: "FP16", shape: [2], data: Uint16Array.of(0x3c00, 0xfc00) },
  { datatype: "BF16", shape: [2], data: Uint16Array.of(0x3f80, 0x7fc0) },
  { datatype: "FP32", shape: [4], data: Float32Array.of(0.1, -0, Number.NaN, Infinity) },
  { datatype: "FP64", shape: [1, 1], data: Float64Array.of(-1e300) },
  { datatype: "BYTES", shape: [2, 2], data: ["", "日本語", "a\u0000b", "\ufeffé"] },
];

describe("a tensor of the client", () => {
  it("has every datatype of the server", () => {
    expect(TENSORS.map(({ datatype }) => datatype).toSorted()).toEqual(
      Object.keys(DATATYPES).toSorted(),
    );
    expect(isDatatype("BF16")).toBe(true);
  });

  it.each(TENSORS.map((tensor) => [tensor.datatype, tensor] as const))(
    "of %s is to the server what it is here, and comes back as itself",
    (_, tensor) => {
      const { body, headerLength } = encodeTensors({ x: tensor as TensorInput }, ["y"]);
      const request = decodeBinaryRequest(body, headerLength);
      expect(request.inputs["x"]).toEqual(tensor);
      expect(request.outputs).toEqual([{ name: "y", binary: true }]);
      const answer = encodeBinaryResponse({
        model: "m",
        outputs: [
          {
            name: "first",
            binary: true,
            tensor: { datatype: "UINT8", shape: [1], data: Uint8Array.of(7) },
          },
          { name: "y", binary: true, tensor },
        ],
      });
      // The byte before it leaves it where no wider element could begin.
      expect(decodeTensors(answer.body, answer.headerLength)["y"]).toEqual(tensor);
    },
  );

  it.each(
    TENSORS.filter(({ datatype }) => !/^BOOL$|16$/.test(datatype)).map(
      (tensor) => [tensor.datatype, tensor] as const,
    ),
  )("is %s by its array alone", (_, { shape, data }) => {
    const { body, headerLength } = encodeTensors({ x: { shape, data } as TensorInput }, undefined);
    expect(decodeBinaryRequest(body, headerLength)).toMatchObject({
      inputs: { x: { data } },
      outputs: undefined,
      binaryOutputs: true,
    });
  });

  it("takes the part of a buffer that its array shows", () => {
    const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
    const { body, headerLength } = encodeTensors({ x: { shape: [2], data } }, undefined);
    expect(decodeBinaryRequest(body, headerLength).inputs["x"]?.data).toEqual(
      Float32Array.of(2, 3),
    );
  });

  it("takes a Float16Array for FP16", () => {
    const data = Float16Array.of(1, -Infinity);
    const { body, headerLength } = encodeTensors({ x: { shape: [2], data } }, undefined);
    expect(decodeBinaryRequest(body, headerLength).inputs["x"]).toMatchObject({
      datatype: "FP16",
      data: Uint16Array.of(0x3c00, 0xfc00),
    });
  });

  it.each([
    ["a view of no elements", { shape: [1], data: new DataView(new ArrayBuffer(4)) }],
    ["a buffer", { datatype: "FP32", shape: [1], data: new ArrayBuffer(4) }],
    ["a number", { shape: [1], data: 4 }],
    ["no tensor", null],
  ])("refuses %s", (_, tensor) => {
    expect(() => encodeTensors({ x: tensor as unknown as TensorInput }, undefined)).toThrow(
      expect.objectContaining({ code: "invalid_input", field: "inputs.x" }),
    );
  });

  it("reads an answer in JSON", () => {
    const answer = encodeBinaryResponse({
      model: "m",
      outputs: [
        {
          name: "a",
          binary: false,
          tensor: { datatype: "INT64", shape: [2], data: BigInt64Array.of(-1n, 2n) },
        },
        {
          name: "b",
          binary: false,
          tensor: { datatype: "FP32", shape: [1, 2], data: Float32Array.of(0.5, 2) },
        },
        { name: "c", binary: false, tensor: { datatype: "BYTES", shape: [1], data: ["é"] } },
        {
          name: "d",
          binary: false,
          tensor: { datatype: "BOOL", shape: [2], data: Uint8Array.of(0, 1) },
        },
      ],
    });
    const { a, b, c, d } = decodeTensors(answer.body, answer.headerLength);
    expect(a?.data).toEqual(BigInt64Array.of(-1n, 2n));
    expect(b?.data).toEqual(Float32Array.of(0.5, 2));
    expect([c?.data, d?.data]).toEqual([["é"], Uint8Array.of(0, 1)]);
  });

  it("is never made of an answer that was cut, lengthened or altered in its sizes", () => {
    const tensor = { datatype: "FP32", shape: [2], data: Float32Array.of(1, 2) } as const;
    const { body, headerLength } = encodeBinaryResponse({
      model: "m",
      outputs: [{ name: "y", binary: true, tensor }],
    });
    const refused = expect.objectContaining({ code: "invalid_answer" });
    for (let length = 0; length < body.length; length++) {
      expect(() => decodeTensors(body.slice(0, length), headerLength)).toThrow(refused);
    }
    expect(() => decodeTensors(Uint8Array.of(...body, 0), headerLength)).toThrow(refused);
    const text = new TextDecoder().decode(body.subarray(0, headerLength));
    const bytes = body.subarray(headerLength ?? 0);
    fc.assert(
      fc.property(
        fc.integer({ min: -20, max: 100 }),
        fc.integer({ min: -3, max: 9 }),
        (size, length) => {
          fc.pre(size !== 8 || length !== 2);
          const altered = text
            .replace('"binary_data_size":8', `"binary_data_size":${size}`)
            .replace('"shape":[2]', `"shape":[${length}]`);
          const header = new TextEncoder().encode(altered);
          const whole = Uint8Array.of(...header, ...bytes);
          expect(() => decodeTensors(whole, header.length)).toThrow(refused);
        },
      ),
    );
  });
});
