import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  encodeHeader,
  headerLength,
  PAGE_BYTES,
  parseHeader,
  PREFIX_BYTES,
  SNAPSHOT_FORMAT,
  SnapshotError,
  type SnapshotHeader,
} from "../../../src/runtime/snapshot/format.ts";
import { headerOf, headers } from "../../support/snapshot-headers.ts";

const MAX_HEADER_BYTES = 1_048_576;

/** Offsets of the words that follow the digests and the version. */
const AT = {
  memory: 128,
  session: 132,
  runOptions: 136,
  table: 140,
  inputs: 144,
  outputs: 148,
  runs: 152,
  tables: 156,
} as const;

function faultOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof SnapshotError) return error.fault;
    throw error;
  }
  return "none";
}

function withWord(bytes: Uint8Array, at: number, value: number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(bytes);
  new DataView(copy.buffer).setUint32(at, value, true);
  return copy;
}

/** As a reader of files does: the length first, then as many bytes as it says. */
function read(bytes: Uint8Array): SnapshotHeader {
  return parseHeader(bytes.subarray(0, headerLength(bytes.subarray(0, PREFIX_BYTES))));
}

describe("the header of a snapshot", () => {
  it("comes back as it was written, from any place in a buffer", () => {
    fc.assert(
      fc.property(headers, fc.nat(9), (header, offset) => {
        const bytes = encodeHeader(header);
        expect(headerLength(bytes.subarray(0, PREFIX_BYTES))).toBe(bytes.length);
        const buffer = new Uint8Array(offset + bytes.length + 3).fill(0xaa);
        buffer.set(bytes, offset);
        const placed = buffer.subarray(offset, offset + bytes.length);
        expect(headerLength(placed.subarray(0, PREFIX_BYTES))).toBe(bytes.length);
        expect(parseHeader(placed)).toEqual(header);
      }),
    );
  });

  it("is laid out as src/store/README.md says", () => {
    const bytes = encodeHeader({
      runtime: "01".repeat(32),
      graph: "02".repeat(32),
      weights: "03".repeat(32),
      ortVersion: "1.30.0",
      memoryBytes: 16_777_216,
      handles: { session: 5, runOptions: 6, table: 7, inputNames: [8], outputNames: [9, 10] },
      runs: [{ firstPage: 11, pages: 12 }],
    });
    const view = new DataView(bytes.buffer);
    const ascii = (start: number, end: number) =>
      new TextDecoder().decode(bytes.subarray(start, end));
    expect(ascii(0, 8)).toBe("NEARSNAP");
    expect([view.getUint32(8, true), view.getUint32(12, true)]).toEqual([2, bytes.length]);
    for (const [start, byte] of [
      [16, 1],
      [48, 2],
      [80, 3],
    ] as const) {
      expect([...bytes.subarray(start, start + 32)]).toEqual(Array(32).fill(byte));
    }
    expect(ascii(112, 128)).toBe("1.30.0".padEnd(16, "\0"));
    const words = Array.from({ length: 12 }, (_, index) => view.getUint32(128 + 4 * index, true));
    expect(words).toEqual([4096, 5, 6, 7, 1, 2, 1, 8, 9, 10, 11, 12]);
    expect(bytes.length).toBe(128 + 4 * words.length);
  });

  it.each<[string, string, (bytes: Uint8Array) => Uint8Array]>([
    ["nothing", "not_a_snapshot", () => new Uint8Array()],
    ["another magic", "not_a_snapshot", (bytes) => withWord(bytes, 4, 0)],
    ["the format before", "unknown_format", (bytes) => withWord(bytes, 8, SNAPSHOT_FORMAT - 1)],
    ["the format after", "unknown_format", (bytes) => withWord(bytes, 8, SNAPSHOT_FORMAT + 1)],
    ["a header of no length", "malformed", (bytes) => withWord(bytes, 12, 0)],
    ["a header that lacks a word", "malformed", (bytes) => withWord(bytes, 12, AT.tables - 1)],
    ["a header beyond the most", "malformed", (bytes) => withWord(bytes, 12, MAX_HEADER_BYTES + 1)],
    ["a header of 4 GB", "malformed", (bytes) => withWord(bytes, 12, 0xffff_ffff)],
    ["a memory of 16 TB", "malformed", (bytes) => withWord(bytes, AT.memory, 0xffff_ffff)],
    ["a memory that ends before its pages", "malformed", (bytes) => withWord(bytes, AT.memory, 20)],
    ["no memory", "malformed", (bytes) => withWord(bytes, AT.memory, 0)],
    ["a session outside", "malformed", (bytes) => withWord(bytes, AT.session, 0xffff_ffff)],
    ["run options outside", "malformed", (bytes) => withWord(bytes, AT.runOptions, 16_777_216)],
    ["a table outside", "malformed", (bytes) => withWord(bytes, AT.table, 16_777_216)],
    ["a name outside", "malformed", (bytes) => withWord(bytes, AT.tables, 16_777_216)],
    ["one input too many", "malformed", (bytes) => withWord(bytes, AT.inputs, 2)],
    ["4 billion inputs", "malformed", (bytes) => withWord(bytes, AT.inputs, 0xffff_ffff)],
    ["4 billion outputs", "malformed", (bytes) => withWord(bytes, AT.outputs, 0xffff_ffff)],
    ["4 billion runs", "malformed", (bytes) => withWord(bytes, AT.runs, 0xffff_ffff)],
    [
      "counts that only overflow fits",
      "malformed",
      (bytes) => withWord(bytes, AT.runs, 0x8000_0002),
    ],
    ["an empty run", "malformed", (bytes) => withWord(bytes, AT.tables + 12, 0)],
    ["runs that overlap", "malformed", (bytes) => withWord(bytes, AT.tables + 12, 3)],
    ["runs in another order", "malformed", (bytes) => withWord(bytes, AT.tables + 16, 1)],
    ["a run beyond the memory", "malformed", (bytes) => withWord(bytes, AT.tables + 20, 4096)],
    ["a run of 16 TB", "malformed", (bytes) => withWord(bytes, AT.tables + 20, 0xffff_ffff)],
  ])("with %s is %s", (_, fault, damage) => {
    const runs = [
      { firstPage: 20, pages: 2 },
      { firstPage: 22, pages: 1 },
    ];
    const bytes = encodeHeader(headerOf(runs));
    expect(faultOf(() => read(bytes))).toBe("none");
    expect(faultOf(() => read(damage(bytes)))).toBe(fault);
  });

  it("is either understood or refused with a fault, whatever its bytes", () => {
    const damaged = fc
      .tuple(headers, fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 6 }))
      .map(([header, changes]) => {
        const bytes = encodeHeader(header);
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        return bytes;
      });
    const garbage = fc.uint8Array({ maxLength: 400 });
    const prefixed = garbage.map((rest) => {
      const bytes = encodeHeader(headerOf([]));
      const whole = new Uint8Array(PREFIX_BYTES + rest.length);
      whole.set(bytes.subarray(0, PREFIX_BYTES));
      whole.set(rest, PREFIX_BYTES);
      return withWord(whole, 12, whole.length);
    });
    fc.assert(
      fc.property(fc.oneof(damaged, garbage, prefixed), (bytes) => {
        let header: SnapshotHeader | undefined;
        // Anything but a SnapshotError comes through, and is the failure.
        faultOf(() => {
          const length = headerLength(bytes.subarray(0, PREFIX_BYTES));
          if (length > MAX_HEADER_BYTES) throw new Error(`A header of ${length} bytes is read.`);
          if (length <= bytes.length) header = parseHeader(bytes.subarray(0, length));
        });
        expect(header === undefined || staysInside(header)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

function staysInside({ runs, memoryBytes }: SnapshotHeader): boolean {
  let end = 0;
  for (const { firstPage, pages } of runs) {
    if (firstPage < end) return false;
    end = firstPage + pages;
  }
  return end * PAGE_BYTES <= memoryBytes && memoryBytes <= 2 ** 32;
}
