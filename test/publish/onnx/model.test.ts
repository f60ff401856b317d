import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import {
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
} from "onnx-buf";
import { describe, expect, it } from "vitest";

import { OnnxError } from "../../../src/publish/onnx/error.ts";
import {
  bytesOf,
  datatypeOf,
  float32Data,
  initializerBytes,
  isDefaultDomain,
  isExternal,
  opsetOf,
  pointToExternalData,
  readModel,
  shapeOf,
  suppliedNames,
  writeModel,
} from "../../../src/publish/onnx/model.ts";
import { transpose } from "../../../src/publish/onnx/matrix.ts";
import { DATATYPES, type NumericDatatype } from "../../../src/runtime/tensor.ts";
import { linearGraph } from "../../support/graphs.ts";
import { asVersion } from "../support.ts";

const FLOAT8 = 17;

function tensor(init: Parameters<typeof create<typeof TensorProtoSchema>>[1]) {
  return create(TensorProtoSchema, Object.assign({ name: "W" }, init));
}

describe("readModel", () => {
  it("gives what writeModel makes the same bytes of", () => {
    const onnx = linearGraph(3, 5);
    expect(writeModel(readModel(onnx))).toEqual(onnx);
    expect(readModel(onnx).graph.name).toBe("linear");
  });

  it.each([
    ["nothing", new Uint8Array(), "The file holds no ONNX graph."],
    ["a text", new TextEncoder().encode("<html>404</html>"), "The file is not an ONNX model."],
    ["a model without a graph", Uint8Array.of(0x08, 0x08), "The file holds no ONNX graph."],
  ])("refuses %s", (_, bytes, message) => {
    expect(() => readModel(bytes)).toThrow(
      expect.objectContaining({ name: "OnnxError", code: "not_onnx", message }),
    );
  });

  it("is not_onnx or a model for any bytes, never another error", () => {
    const outcomeOf = (bytes: Uint8Array): unknown => {
      try {
        return readModel(bytes).graph && "a model";
      } catch (error) {
        return error;
      }
    };
    const whole = linearGraph(2, 2);
    const cut = fc.nat(whole.length).map((length) => whole.slice(0, length));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), cut), (bytes) => {
        expect(outcomeOf(bytes)).toSatisfy(
          (outcome) => outcome === "a model" || outcome instanceof OnnxError,
        );
      }),
    );
  });
});

describe("opsetOf", () => {
  it("is the version of ai.onnx, by either of its names, among others", () => {
    const model = readModel(linearGraph(2, 2));
    const [entry] = model.opsetImport;
    if (entry === undefined) throw new Error("the builder writes an opset");
    const other = { ...entry, domain: "com.microsoft", version: 1n };
    expect(opsetOf({ ...model, opsetImport: [other, entry] })).toBe(17);
    expect(opsetOf({ ...model, opsetImport: [other, { ...entry, domain: "ai.onnx" }] })).toBe(17);
    expect(opsetOf({ ...model, opsetImport: [other] })).toBe(0);
  });

  it.each([
    ["", true],
    ["ai.onnx", true],
    ["ai.onnx.ml", false],
    ["com.microsoft", false],
  ])("takes domain %j for the default: %s", (domain, expected) => {
    expect(isDefaultDomain(domain)).toBe(expected);
  });
});

describe("suppliedNames", () => {
  it.each([
    [3, ["x"]],
    [4, ["x", "W"]],
  ])("counts initialisers listed as inputs in format %i: %j", (ir, names) => {
    const model = readModel(asVersion(linearGraph(2, 2), { ir }));
    const [x] = model.graph.input;
    if (x === undefined) throw new Error("the graph has an input");
    model.graph.input.push({ ...x, name: "W" });
    expect([...suppliedNames(model)]).toEqual(names);
  });
});

describe("initializerBytes", () => {
  const little = (data: ArrayBufferView): number[] => [...bytesOf(data)];

  it.each<[NumericDatatype, Parameters<typeof tensor>[0], number[]]>([
    ["FP32", { floatData: [1, -2.5] }, little(Float32Array.of(1, -2.5))],
    ["FP64", { doubleData: [1, 0.1] }, little(Float64Array.of(1, 0.1))],
    ["INT64", { int64Data: [1n, -2n] }, little(BigInt64Array.of(1n, -2n))],
    ["UINT64", { uint64Data: [1n, 2n ** 64n - 1n] }, little(BigUint64Array.of(1n, 2n ** 64n - 1n))],
    ["UINT32", { uint64Data: [1n, 4_294_967_295n] }, little(Uint32Array.of(1, 4_294_967_295))],
    ["INT32", { int32Data: [1, -2] }, little(Int32Array.of(1, -2))],
    ["INT16", { int32Data: [1, -2] }, little(Int16Array.of(1, -2))],
    ["INT8", { int32Data: [1, -2] }, little(Int8Array.of(1, -2))],
    ["UINT16", { int32Data: [1, 65_535] }, little(Uint16Array.of(1, 65_535))],
    ["UINT8", { int32Data: [1, 255] }, little(Uint8Array.of(1, 255))],
    ["BOOL", { int32Data: [1, 0] }, [1, 0]],
    ["FP16", { int32Data: [0x3c00, 0xc000] }, little(Uint16Array.of(0x3c00, 0xc000))],
    ["BF16", { int32Data: [0x3f80, 0xc000] }, little(Uint16Array.of(0x3f80, 0xc000))],
  ])("reads %s from the field of its own, as from raw_data", (datatype, field, bytes) => {
    const common = { dataType: DATATYPES[datatype].onnx, dims: [2n] };
    expect([...initializerBytes(tensor({ ...common, ...field }))]).toEqual(bytes);
    const raw = tensor({ ...common, rawData: Uint8Array.from(bytes) });
    expect([...initializerBytes(raw)]).toEqual(bytes);
    for (const wrong of [{ ...field }, { rawData: Uint8Array.from(bytes) }]) {
      expect(() => initializerBytes(tensor({ ...common, dims: [3n], ...wrong }))).toThrow(
        expect.objectContaining({
          code: "invalid_tensor",
          message: `"W" has ${bytes.length} bytes, but its shape needs ${bytes.length * 1.5}.`,
        }),
      );
    }
  });

  it("passes on raw bytes of element types that Nearside doesn't carry", () => {
    const bytes = Uint8Array.of(1, 2, 3, 4);
    const raw = tensor({ dataType: FLOAT8, dims: [2n], rawData: bytes });
    expect(initializerBytes(raw)).toEqual(bytes);
  });

  it.each([
    [
      "strings",
      { dataType: DATATYPES.BYTES.onnx, dims: [1n], stringData: [Uint8Array.of(65)] },
      "unsupported_datatype",
    ],
    [
      "an 8-bit float in a field of its own",
      { dataType: FLOAT8, dims: [1n], int32Data: [1] },
      "unsupported_datatype",
    ],
    [
      "data in another file",
      { dataType: 1, dims: [1n], dataLocation: TensorProto_DataLocation.EXTERNAL },
      "already_external",
    ],
  ])("refuses %s", (_, init, code) => {
    expect(() => initializerBytes(tensor(init))).toThrow(expect.objectContaining({ code }));
  });
});

describe("float32Data", () => {
  it("is a copy, whatever the alignment of the file's bytes", () => {
    const file = new Uint8Array(9);
    file.set(bytesOf(Float32Array.of(1.5, -3)), 1);
    const W = tensor({ dataType: 1, dims: [2n], rawData: file.subarray(1) });
    const data = float32Data(W);
    expect(data).toEqual(Float32Array.of(1.5, -3));
    data[0] = 7;
    expect(float32Data(W)[0]).toBe(1.5);
  });

  it("refuses other datatypes", () => {
    expect(() => float32Data(tensor({ dataType: DATATYPES.FP64.onnx, dims: [0n] }))).toThrow(
      expect.objectContaining({ code: "unsupported_datatype" }),
    );
  });
});

describe("datatypeOf", () => {
  it("knows every datatype by its ONNX code", () => {
    for (const [name, { onnx }] of Object.entries(DATATYPES)) {
      expect(datatypeOf(onnx, "x")).toBe(name);
    }
  });

  it("names what it doesn't know, and what it does", () => {
    expect(() => datatypeOf(FLOAT8, "hidden")).toThrow(
      /^"hidden" has ONNX element type 17; supported are FP32, .*BF16\.$/,
    );
  });
});

describe("pointToExternalData", () => {
  it("leaves nothing of the data behind", () => {
    const W = tensor({
      dataType: 1,
      dims: [2n, 1n],
      rawData: new Uint8Array(8),
      floatData: [1, 2],
      externalData: [create(StringStringEntryProtoSchema, { key: "location", value: "old" })],
    });
    pointToExternalData(W, "weights.bin", 64, 8);
    expect(isExternal(W)).toBe(true);
    expect(shapeOf(W)).toEqual([2, 1]);
    expect(W.rawData).toHaveLength(0);
    expect(W.floatData).toEqual([]);
    expect(Object.fromEntries(W.externalData.map(({ key, value }) => [key, value]))).toEqual({
      location: "weights.bin",
      offset: "64",
      length: "8",
    });
  });
});

describe("transpose", () => {
  it("exchanges rows and columns, and gives the matrix back the second time", () => {
    expect(transpose(Float32Array.of(1, 2, 3, 4, 5, 6), 2, 3)).toEqual(
      Float32Array.of(1, 4, 2, 5, 3, 6),
    );
    fc.assert(
      fc.property(fc.nat(6), fc.nat(6), (rows, columns) => {
        const matrix = Float32Array.from({ length: rows * columns }, (_, index) => index);
        expect(transpose(transpose(matrix, rows, columns), columns, rows)).toEqual(matrix);
      }),
    );
  });
});
