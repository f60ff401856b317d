import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";

import {
  encodeHeader,
  PAGE_BYTES,
  type PageRun,
  type SnapshotHeader,
} from "../../../src/runtime/snapshot/format.ts";
import { PageReader } from "../../../src/runtime/snapshot/page-reader.ts";
import { headerOf, runsOf } from "../../support/snapshot-headers.ts";

const MEMORY_PAGES = 64;

/** A snapshot of a small memory; no two of its pages are alike. */
function fileOf(runs: readonly PageRun[]): Uint8Array<ArrayBuffer> {
  const header = encodeHeader({ ...headerOf(runs), memoryBytes: MEMORY_PAGES * PAGE_BYTES });
  const pages = runs.reduce((sum, run) => sum + run.pages, 0);
  const bytes = new Uint8Array(header.length + pages * PAGE_BYTES);
  bytes.set(header);
  for (let at = header.length; at < bytes.length; at++)
    bytes[at] = (at * 31 + (at >> 8) * 7) & 0xff;
  return bytes;
}

function memoryOf(runs: readonly PageRun[], file: Uint8Array): Uint8Array {
  const memory = new Uint8Array(MEMORY_PAGES * PAGE_BYTES).fill(0xee);
  let at = encodeHeader(headerOf(runs)).length;
  for (const { firstPage, pages } of runs) {
    memory.set(file.subarray(at, at + pages * PAGE_BYTES), firstPage * PAGE_BYTES);
    at += pages * PAGE_BYTES;
  }
  return memory;
}

function readerOf() {
  const memory = new Uint8Array(MEMORY_PAGES * PAGE_BYTES).fill(0xee);
  const open = vi.fn<(header: SnapshotHeader) => Uint8Array>(() => memory);
  return { memory, open, reader: new PageReader(open) };
}

const RUNS: readonly PageRun[] = [
  { firstPage: 1, pages: 2 },
  { firstPage: 5, pages: 1 },
  { firstPage: MEMORY_PAGES - 1, pages: 1 },
];

const wrongLength = expect.objectContaining({ fault: "wrong_length" });

describe("PageReader", () => {
  it("fills the pages of the header and no other, in one chunk", () => {
    const file = fileOf(RUNS);
    const { memory, open, reader } = readerOf();
    reader.write(file);
    expect(reader.end().runs).toEqual(RUNS);
    expect(open).toHaveBeenCalledOnce();
    expect(memory).toEqual(memoryOf(RUNS, file));
  });

  it("fills the same from chunks of any size", () => {
    const steps = fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 4 })), { maxLength: 8 });
    fc.assert(
      fc.property(steps, fc.array(fc.nat(), { maxLength: 30 }), (gaps, cuts) => {
        const runs = runsOf(gaps);
        const file = fileOf(runs);
        const { memory, open, reader } = readerOf();
        const places = cuts.map((cut) => cut % (file.length + 1)).toSorted((a, b) => a - b);
        let from = 0;
        for (const to of [...places, file.length]) {
          reader.write(file.subarray(from, to));
          from = to;
        }
        expect(reader.end().runs).toEqual(runs);
        expect(open).toHaveBeenCalledOnce();
        expect(Buffer.compare(memory, memoryOf(runs, file))).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  it("fills the same from single bytes, in a buffer that is used again", () => {
    const file = fileOf([{ firstPage: 3, pages: 1 }]);
    const { memory, reader } = readerOf();
    const buffer = new Uint8Array(1);
    for (const byte of file) {
      buffer[0] = byte;
      reader.write(buffer);
    }
    reader.end();
    expect(memory).toEqual(memoryOf([{ firstPage: 3, pages: 1 }], file));
  });

  it("takes a snapshot that has no pages", () => {
    const { memory, reader } = readerOf();
    reader.write(fileOf([]));
    expect(reader.end().runs).toEqual([]);
    expect(memory.every((byte) => byte === 0xee)).toBe(true);
  });

  it("refuses every file that ends too early", () => {
    const file = fileOf(RUNS);
    const header = encodeHeader(headerOf(RUNS)).length;
    const ends = [0, 1, 15, 16, 17, header - 1, header, header + 1, header + 8192, file.length - 1];
    for (const end of ends) {
      const { reader } = readerOf();
      reader.write(file.subarray(0, end));
      expect(() => reader.end()).toThrowError(wrongLength);
    }
  });

  it.each([[RUNS], [[]]])("refuses a file that goes on, at once: %j", (runs) => {
    const file = fileOf(runs);
    const { reader } = readerOf();
    reader.write(file);
    reader.write(new Uint8Array());
    expect(() => reader.write(new Uint8Array(1))).toThrowError(wrongLength);

    const inOne = new Uint8Array(file.length + 1);
    inOne.set(file);
    expect(() => readerOf().reader.write(inOne)).toThrowError(wrongLength);
  });

  it("opens no memory for a header that it does not understand", () => {
    const file = fileOf(RUNS);
    file[8] = 99;
    const { open, reader } = readerOf();
    expect(() => reader.write(file)).toThrowError(
      expect.objectContaining({ fault: "unknown_format" }),
    );
    expect(open).not.toHaveBeenCalled();
    expect(() => reader.end()).toThrowError(wrongLength);
  });

  it("passes on what opening the memory throws", () => {
    for (const runs of [RUNS, []]) {
      const reader = new PageReader(() => {
        throw new Error("no memory");
      });
      expect(() => reader.write(fileOf(runs))).toThrow("no memory");
      expect(() => reader.end()).toThrowError(wrongLength);
    }
  });
});
