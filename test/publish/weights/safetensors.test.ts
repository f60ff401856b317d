import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { bytesOf } from "../../../src/publish/onnx/model.ts";
import { readSafetensors } from "../../../src/publish/weights/safetensors.ts";

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly number[];
}

/** A file of this header, written as it stands, and this data. */
function fileOf(header: unknown, data: Uint8Array = new Uint8Array()): Uint8Array {
  const text = typeof header === "string" ? header : JSON.stringify(header);
  const json = new TextEncoder().encode(text);
  const length = bytesOf(BigUint64Array.of(BigInt(json.length)));
  return Uint8Array.of(...length, ...json, ...data);
}

const half = (bits: number): Uint8Array =>
  fileOf({ h: { dtype: "F16", shape: [], data_offsets: [0, 2] } }, bytesOf(Uint16Array.of(bits)));

describe("readSafetensors", () => {
  it("reads float32 and float16 tensors by name, whatever the order of the data", () => {
    const floats = Float32Array.of(1.5, -2, 3e-7, 4, 5, 6);
    const halves = Uint16Array.of(0x3c00, 0xc000);
    const file = fileOf(
      {
        __metadata__: { format: "pt" },
        b: { dtype: "F32", shape: [2, 3], data_offsets: [4, 28] },
        a: { dtype: "F16", shape: [2], data_offsets: [0, 4] },
      },
      Uint8Array.of(...bytesOf(halves), ...bytesOf(floats)),
    );
    expect(readSafetensors(file)).toEqual(
      new Map([
        ["b", { shape: [2, 3], data: floats }],
        ["a", { shape: [2], data: Float32Array.of(1, -2) }],
      ]),
    );
  });

  it("doesn't mind where in memory the file begins, and keeps nothing of it", () => {
    const file = fileOf(
      { a: { dtype: "F32", shape: [1], data_offsets: [0, 4] } },
      bytesOf(Float32Array.of(7)),
    );
    const inside = new Uint8Array(file.length + 3);
    inside.set(file, 3);
    const tensors = readSafetensors(inside.subarray(3));
    inside.fill(0);
    expect(tensors.get("a")?.data).toEqual(Float32Array.of(7));
  });

  it("passes over other datatypes, however they are stored", () => {
    const file = fileOf(
      {
        ids: { dtype: "I64", shape: [1], data_offsets: [0, 8] },
        odd: { dtype: "F8_E4M3", shape: [3], data_offsets: [8, 11] },
      },
      new Uint8Array(11),
    );
    expect(readSafetensors(file)).toEqual(new Map());
  });

  it("reads empty tensors and scalars", () => {
    const file = fileOf(
      {
        empty: { dtype: "F32", shape: [0, 5], data_offsets: [0, 0] },
        scalar: { dtype: "F32", shape: [], data_offsets: [0, 4] },
      },
      bytesOf(Float32Array.of(9)),
    );
    expect(readSafetensors(file).get("empty")).toEqual({
      shape: [0, 5],
      data: new Float32Array(),
    });
    expect(readSafetensors(file).get("scalar")).toEqual({ shape: [], data: Float32Array.of(9) });
  });

  it.each([
    [0x0000, 0],
    [0x8000, -0],
    [0x0001, 2 ** -24],
    [0x03ff, 1023 * 2 ** -24],
    [0x0400, 2 ** -14],
    [0x3555, 0.333251953125],
    [0x7bff, 65_504],
    [0xfbff, -65_504],
    [0x7c00, Number.POSITIVE_INFINITY],
    [0xfc00, Number.NEGATIVE_INFINITY],
    [0x7e00, Number.NaN],
  ])("widens half %i to %d", (bits, value) => {
    expect(readSafetensors(half(bits)).get("h")?.data[0]).toBe(value);
  });

  it("widens every half exactly as the platform does", () => {
    fc.assert(
      fc.property(fc.nat(65_535), (bits) => {
        const view = new DataView(bytesOf(Uint16Array.of(bits)).buffer);
        fc.pre("getFloat16" in view && typeof view.getFloat16 === "function");
        const { getFloat16 } = view as DataView & {
          getFloat16(this: DataView, at: number, littleEndian: boolean): number;
        };
        expect(readSafetensors(half(bits)).get("h")?.data[0]).toBe(getFloat16.call(view, 0, true));
      }),
    );
  });

  const entry = (change: Partial<Record<keyof Entry, unknown>>) => ({
    a: { dtype: "F32", shape: [2], data_offsets: [0, 8], ...change },
  });
  const data = new Uint8Array(8);

  it.each([
    ["nothing", new Uint8Array(), /header is cut off/],
    ["less than a length", new Uint8Array(7), /header is cut off/],
    ["a header longer than the file", fileOf("{}").with(0, 3), /header is cut off/],
    ["a header of 2⁶³ bytes", fileOf("{}").with(7, 0x80), /header is cut off/],
    ["a header that is no JSON", fileOf("{a"), /JSON/],
    ["a header that is no object", fileOf("3"), /Expected Object/],
    ["an entry that is no object", fileOf({ a: 3 }), /Expected Object/],
    ["an entry without a shape", fileOf(entry({ shape: undefined }), data), /"shape"/],
    ["a negative dimension", fileOf(entry({ shape: [-2] }), data), />=0/],
    ["a fraction of a dimension", fileOf(entry({ shape: [0.5] }), data), /safe integer/],
    ["one offset", fileOf(entry({ data_offsets: [0] }), data), /"1"|undefined/],
    ["a negative offset", fileOf(entry({ data_offsets: [-8, 0] }), data), />=0/],
    ["offsets beyond the end", fileOf(entry({ data_offsets: [4, 12] }), data), /"a" doesn't have/],
    ["offsets the wrong way round", fileOf(entry({ data_offsets: [8, 0] }), data), /"a" doesn't/],
    ["data for another shape", fileOf(entry({ shape: [3] }), data), /"a" doesn't have the size/],
    ["half the data", fileOf(entry({ dtype: "F16" }), data), /"a" doesn't have the size/],
  ])("refuses %s", (_, file, message) => {
    expect(() => readSafetensors(file)).toThrow(message);
  });

  it("refuses a file that is cut off anywhere", () => {
    const whole = fileOf(entry({}), data);
    for (let length = 0; length < whole.length; length++) {
      expect(() => readSafetensors(whole.slice(0, length))).toThrow(Error);
    }
  });
});
