import { deflateSync } from "node:zlib";

import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { joined } from "../../../src/bytes.ts";
import { NearsideError } from "../../../src/errors.ts";
import { exifOrientation } from "../../../src/tasks/image/exif.ts";
import { checkPixels, imageInputs, readImageHeader } from "../../../src/tasks/image/index.ts";
import type { TaskRequest } from "../../../src/tasks/task.ts";
import {
  drawn,
  exif,
  extendedWebp,
  gradient,
  ihdr,
  jpegOf,
  pngOf,
  pngOfChunks,
  webpOf,
  withJpegExif,
} from "../../support/pictures.ts";

const pixels = drawn(40, 30, gradient);
const jpeg = await jpegOf(pixels);
const png = await pngOf(pixels);
const webp = await webpOf(pixels);
const lossless = await webpOf(pixels, { lossless: 1 });
const size = { width: 40, height: 30, orientation: 1 };

const header = (bytes: Uint8Array) => readImageHeader(bytes, "inputs");
const refused = (what: RegExp) =>
  expect.objectContaining({
    code: "unsupported_image",
    field: "inputs",
    message: expect.stringMatching(what) as string,
  });

describe("readImageHeader", () => {
  it.each([
    ["jpeg", jpeg],
    ["png", png],
    ["webp", webp],
    ["webp", lossless],
    ["webp", extendedWebp(webp, pixels)],
  ])("reads the size of a %s", (format, bytes) => {
    expect(header(bytes)).toEqual({ format, ...size });
  });

  it("says the size as stored, and how it is turned", () => {
    expect(header(withJpegExif(jpeg, exif(6)))).toMatchObject({ ...size, orientation: 6 });
  });

  it("refuses no bytes at all", () => {
    expect(() => header(new Uint8Array())).toThrow(
      expect.objectContaining({ code: "invalid_input", field: "inputs" }),
    );
  });

  it.each([
    ["text", new TextEncoder().encode("hello, I am no picture"), /neither JPEG nor PNG nor WebP/],
    ["a GIF", new TextEncoder().encode("GIF89a\u0001\u0000\u0001\u0000"), /neither/],
    ["a JPEG without a picture", Uint8Array.of(0xff, 0xd8, 0xff, 0xd9), /no picture/],
    ["a JPEG with two frames", twoFrames(), /two frames/],
    ["a JPEG with hundreds of scans", manyScans(), /more than 64 scans/],
    ["a CMYK JPEG", withFrame({ components: 4 }), /CMYK/],
    ["a JPEG of 12 bits", withFrame({ precision: 12 }), /8 bits/],
    ["an arithmetic-coded JPEG", withFrame({ code: 0xc9 }), /arithmetic/],
    ["a JPEG without a height", withFrame({ height: 0 }), /no size/],
    [
      "a PNG without data",
      pngOfChunks([
        ["IHDR", ihdr(1, 1)],
        ["IEND", new Uint8Array()],
      ]),
      /no picture/,
    ],
    ["a PNG without a header", pngOfChunks([["IDAT", ihdr(1, 1)]]), /does not start/],
    [
      "a PNG with two headers",
      pngOfChunks([
        ["IHDR", ihdr(1, 1)],
        ["IHDR", ihdr(9, 9)],
      ]),
      /two/,
    ],
    ["an animated WebP", extendedWebp(webp, pixels, { flags: 0x02 }), /animation/],
    ["a WebP that is not its canvas", extendedWebp(webp, { width: 4, height: 4 }), /canvas/],
  ])("refuses %s", (_, bytes, problem) => {
    expect(() => header(bytes)).toThrow(refused(problem));
  });

  it("ends for any bytes, with a header or a refusal", () => {
    const starts = [jpeg, png, webp, lossless].map((bytes) => bytes.slice(0, 64));
    const bytes = fc.tuple(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 400 }));
    fc.assert(
      fc.property(bytes, fc.nat(64), ([start, rest], kept) => {
        const file = joined([start.subarray(0, kept), rest, Uint8Array.of(0xff, 0xd9)]);
        expect(["read", "unsupported_image", "invalid_input"]).toContain(outcomeOf(file));
      }),
      { numRuns: 500 },
    );
  });
});

describe("exifOrientation", () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])("reads %i in both byte orders", (orientation) => {
    expect(exifOrientation(exif(orientation, true))).toBe(orientation);
    expect(exifOrientation(exif(orientation, false))).toBe(orientation);
  });

  it("takes a picture for upright when its EXIF is damaged", () => {
    expect([0, 9, 65_535].map((value) => exifOrientation(exif(value)))).toEqual([1, 1, 1]);
    fc.assert(
      fc.property(fc.nat(38), fc.uint8Array({ maxLength: 40 }), (kept, rest) => {
        const orientation = exifOrientation(joined([exif(6).subarray(0, kept), rest]));
        expect(orientation).toBeGreaterThanOrEqual(1);
        expect(orientation).toBeLessThanOrEqual(8);
      }),
    );
  });
});

describe("imageInputs", () => {
  const limits = { maxBatch: 2, maxPixels: 2_500_000 };
  const json = (inputs: unknown): TaskRequest => ({ kind: "json", inputs, parameters: {} });
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

  const raw = (mediaType: string): TaskRequest => ({
    kind: "raw",
    mediaType,
    mediaParameters: {},
    bytes: jpeg,
    parameters: {},
  });

  it.each(["image/jpeg", "application/octet-stream"])("takes a raw body as %s", (mediaType) => {
    const { images, single } = imageInputs(raw(mediaType), limits);
    expect(single).toBe(true);
    expect(images).toEqual([{ bytes: jpeg, field: "inputs", header: { format: "jpeg", ...size } }]);
  });

  it("refuses a raw body that is of another type than it is said to be", () => {
    expect(() => imageInputs(raw("image/png"), limits)).toThrow(
      expect.objectContaining({
        code: "unsupported_image",
        message: 'The image is JPEG, but was sent as "image/png".',
        field: "inputs",
      }),
    );
  });

  it.each([
    "data:image/jpeg",
    "data:image/jpg",
    "data:IMAGE/JPEG;name=a.jpg",
    "data:",
    "data:application/octet-stream",
  ])("takes a JPEG in %s", (start) => {
    const { images } = imageInputs(json(`${start};base64,${base64(jpeg)}`), limits);
    expect(images).toMatchObject([{ header: { format: "jpeg" } }]);
  });

  it.each(["data:image/webp", "data:text/plain", "data:image/png"])(
    "refuses a JPEG in %s",
    (start) => {
      expect(() => imageInputs(json([`${start};base64,${base64(jpeg)}`]), limits)).toThrow(
        expect.objectContaining({
          code: "unsupported_image",
          message: `The image is JPEG, but was sent as "${start.slice(5)}".`,
          field: "inputs[0]",
        }),
      );
    },
  );

  it("takes base64, data: URLs and arrays of them", () => {
    const inputs = [base64(png), `data:image/webp;base64,${base64(webp)}`];
    const { images, single } = imageInputs(json(inputs), limits);
    expect(single).toBe(false);
    expect(images.map(({ bytes, field }) => [bytes, field])).toEqual([
      [png, "inputs[0]"],
      [webp, "inputs[1]"],
    ]);
    expect(imageInputs(json(inputs[0]), limits)).toMatchObject({ single: true });
  });

  it.each([
    ["a number", 7, "invalid_input", "inputs"],
    ["nothing", [], "invalid_input", "inputs"],
    ["no base64", "%%%", "invalid_input", "inputs"],
    ["an address", "https://example.com/a.jpg", "invalid_input", "inputs"],
    ["a data: URL as text", "data:image/svg+xml,<svg/>", "invalid_input", "inputs"],
    ["an object in an array", [{}], "invalid_input", "inputs[0]"],
    ["too many", [1, 2, 3], "batch_too_large", "inputs"],
    ["a text", [base64(new TextEncoder().encode("hello"))], "unsupported_image", "inputs[0]"],
  ])("refuses %s", (_, inputs, code, field) => {
    expect(() => imageInputs(json(inputs), limits)).toThrow(
      expect.objectContaining({ code, field }),
    );
  });

  it("counts the pixels of a bomb before anything is decoded", () => {
    const bomb = pngOfChunks([
      ["IHDR", ihdr(50_000, 50_000)],
      ["IDAT", deflateSync(new Uint8Array(100_000))],
      ["IEND", new Uint8Array()],
    ]);
    expect(bomb.length).toBeLessThan(1024);
    expect(() => imageInputs(json(base64(bomb)), limits)).toThrow(
      expect.objectContaining({ code: "image_too_large", field: "inputs" }),
    );
  });

  it("takes a picture of exactly the limit", () => {
    const exact = { width: 50, height: 40 };
    expect(() => checkPixels(exact, 2_000, "inputs")).not.toThrow();
    expect(() => checkPixels(exact, 1_999, "inputs")).toThrow(
      expect.objectContaining({ code: "image_too_large" }),
    );
  });
});

/** "read", or the code of what was thrown. */
function outcomeOf(bytes: Uint8Array): unknown {
  try {
    header(bytes);
    return "read";
  } catch (error) {
    return error instanceof NearsideError ? error.code : error;
  }
}

function frameStart(bytes: Uint8Array): number {
  return bytes.findIndex((byte, at) => byte === 0xff && [0xc0, 0xc2].includes(bytes[at + 1] ?? 0));
}

/** A second frame that claims to be small, behind one that is not. */
function twoFrames(): Uint8Array {
  const at = frameStart(jpeg);
  const end = at + 2 + ((jpeg[at + 2] ?? 0) << 8) + (jpeg[at + 3] ?? 0);
  return joined([jpeg.subarray(0, end), jpeg.subarray(at, end), jpeg.subarray(end)]);
}

function manyScans(): Uint8Array {
  const scan = jpeg.findIndex((byte, at) => byte === 0xff && jpeg[at + 1] === 0xda);
  const empty = jpeg.subarray(scan, scan + 2 + (jpeg[scan + 3] ?? 0));
  return joined([
    jpeg.subarray(0, scan),
    ...Array<Uint8Array>(300).fill(empty),
    jpeg.subarray(scan),
  ]);
}

function withFrame(
  change: Partial<Record<"code" | "precision" | "height" | "components", number>>,
): Uint8Array {
  const bytes = jpeg.slice();
  const at = frameStart(bytes);
  if (change.code !== undefined) bytes[at + 1] = change.code;
  if (change.precision !== undefined) bytes[at + 4] = change.precision;
  if (change.height !== undefined) bytes.fill(change.height, at + 5, at + 7);
  if (change.components !== undefined) bytes[at + 9] = change.components;
  return bytes;
}
