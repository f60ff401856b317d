import { deflateSync } from "node:zlib";

import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";

import { joined } from "../../../src/bytes.ts";
import { NearsideError } from "../../../src/errors.ts";
import {
  checkPixels,
  decodeImage,
  type Orientation,
  readImageHeader,
  type RgbaImage,
} from "../../../src/tasks/image/index.ts";
import {
  drawn,
  exif,
  extendedWebp,
  gradient,
  ihdr,
  jpegOf,
  type PixelAt,
  type Pixels,
  pngOf,
  pngOfChunks,
  webpOf,
  withJpegExif,
  withPngChunk,
} from "../../support/pictures.ts";
import { TOOLS } from "../../support/tools.ts";

const WIDTH = 48;
const HEIGHT = 32;
const upright = drawn(WIDTH, HEIGHT, gradient);
const files = {
  "baseline JPEG": await jpegOf(upright, { quality: 95, progressive: false }),
  "progressive JPEG": await jpegOf(upright, { quality: 95, progressive: true }),
  PNG: await pngOf(upright),
  "lossy WebP": await webpOf(upright, { quality: 95 }),
  "lossless WebP": await webpOf(upright, { lossless: 1 }),
};
/** JPEG and lossy WebP at quality 95. */
const LARGEST_LOSS = 12;

function decode(bytes: Uint8Array): RgbaImage {
  return decodeImage(
    { bytes, header: readImageHeader(bytes, "inputs"), field: "inputs" },
    TOOLS.codecs,
  );
}

function lossOf(image: RgbaImage, { data }: Pixels): number {
  expect(image.data).toHaveLength(data.length);
  return image.data.reduce(
    (most, value, at) => Math.max(most, Math.abs(value - (data[at] ?? 0))),
    0,
  );
}

const refused = { code: "unsupported_image", field: "inputs" };

describe("decodeImage", () => {
  it.each(Object.entries(files))("decodes a %s", (_, bytes) => {
    const image = decode(bytes);
    expect(image).toMatchObject({ width: WIDTH, height: HEIGHT });
    expect(lossOf(image, upright)).toBeLessThanOrEqual(LARGEST_LOSS);
  });

  it("decodes one picture after the other, whatever came before", () => {
    const all = Object.values(files);
    const first = all.map(decode);
    decode(files.PNG);
    expect(() => decode(withoutScanData(files["baseline JPEG"]))).toThrow("is damaged or cut off");
    expect([...all].toReversed().map(decode)).toEqual(first.toReversed());
  });

  it("leaves the global object as it was", () => {
    const before = ["ImageData", "location"].map(
      (name) => Reflect.get(globalThis, name) as unknown,
    );
    decode(files.PNG);
    decode(files["lossy WebP"]);
    const after = ["ImageData", "location"].map((name) => Reflect.get(globalThis, name) as unknown);
    expect(after).toEqual(before);
  });

  it("keeps transparency", async () => {
    const clear = drawn(8, 8, (x, y) => [10 * x, 10 * y, 99, x * 30]);
    expect(lossOf(decode(await pngOf(clear)), clear)).toBe(0);
    const image = decode(await webpOf(clear, { lossless: 1, exact: 1 }));
    expect(lossOf(image, clear)).toBe(0);
  });

  it("decodes grey, palette and 16-bit PNG into RGBA", () => {
    const grey = Uint8Array.of(0, 0, 0, 2, 0, 0, 0, 1, 8, 0, 0, 0, 0);
    const palette = Uint8Array.of(0, 0, 0, 2, 0, 0, 0, 1, 8, 3, 0, 0, 0);
    const deep = Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 1, 16, 2, 0, 0, 0);
    const png = (header: Uint8Array, row: number[], ...more: [string, Uint8Array][]) =>
      decode(
        pngOfChunks([
          ["IHDR", header],
          ...more,
          ["IDAT", deflateSync(Uint8Array.of(0, ...row))],
          ["IEND", new Uint8Array()],
        ]),
      ).data;
    expect([...png(grey, [7, 200])]).toEqual([7, 7, 7, 255, 200, 200, 200, 255]);
    const colours = Uint8Array.of(1, 2, 3, 4, 5, 6);
    expect([...png(palette, [1, 0], ["PLTE", colours], ["tRNS", Uint8Array.of(9)])]).toEqual([
      4, 5, 6, 255, 1, 2, 3, 9,
    ]);
    expect([...png(deep, [0x12, 0xff, 0x80, 0, 0xff, 0xff])]).toEqual([0x12, 0x80, 0xff, 255]);
  });
});

describe("orientation", () => {
  /** Where pixel (x, y) of the upright picture is stored, as the EXIF standard has it. */
  const STORED: Readonly<Record<Orientation, (x: number, y: number) => [number, number]>> = {
    1: (x, y) => [x, y],
    2: (x, y) => [WIDTH - 1 - x, y],
    3: (x, y) => [WIDTH - 1 - x, HEIGHT - 1 - y],
    4: (x, y) => [x, HEIGHT - 1 - y],
    5: (x, y) => [y, x],
    6: (x, y) => [y, WIDTH - 1 - x],
    7: (x, y) => [HEIGHT - 1 - y, WIDTH - 1 - x],
    8: (x, y) => [HEIGHT - 1 - y, x],
  };
  const orientations = ([1, 2, 3, 4, 5, 6, 7, 8] as const).map((one) => [one]);

  function stored(orientation: Orientation): Pixels {
    const isTurned = orientation >= 5;
    const places = new Map<string, ReturnType<PixelAt>>();
    for (let y = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++) {
        places.set(STORED[orientation](x, y).join(), gradient(x, y));
      }
    }
    return drawn(isTurned ? HEIGHT : WIDTH, isTurned ? WIDTH : HEIGHT, (x, y) => {
      return places.get(`${x},${y}`) ?? [0, 0, 0];
    });
  }

  it.each(orientations)(
    "%i stands upright, in all formats and byte orders",
    async (orientation) => {
      const pixels = stored(orientation);
      const [jpeg, png, webp] = await Promise.all([
        jpegOf(pixels, { quality: 95 }),
        pngOf(pixels),
        webpOf(pixels, { lossless: 1 }),
      ]);
      for (const isLittle of [true, false]) {
        const tiff = exif(orientation, isLittle);
        const turned = [
          withJpegExif(jpeg, tiff),
          withPngChunk(png, "eXIf", tiff),
          extendedWebp(webp, pixels, { tiff }),
        ].map(decode);
        for (const image of turned) expect(image).toMatchObject({ width: WIDTH, height: HEIGHT });
        const losses = turned.map((image) => lossOf(image, upright));
        expect(losses).toEqual([expect.toSatisfy((loss) => loss <= LARGEST_LOSS), 0, 0]);
      }
    },
  );
});

describe("damaged pictures", () => {
  it.each(Object.entries(files))("refuses a %s that is cut off anywhere", (_, bytes) => {
    const cuts = fc.integer({ min: 4, max: bytes.length - 4 });
    fc.assert(
      fc.property(cuts, (length) => {
        expect(() => decode(bytes.slice(0, length))).toThrow(expect.objectContaining(refused));
      }),
      { numRuns: 40 },
    );
  });

  it("refuses a JPEG whose data ends before its end of image", () => {
    for (const name of ["baseline JPEG", "progressive JPEG"] as const) {
      expect(() => decode(withoutScanData(files[name]))).toThrow(expect.objectContaining(refused));
    }
  });

  it("takes a JPEG with something behind its end", () => {
    const bytes = joined([files["baseline JPEG"], Uint8Array.of(0, 1, 2, 0xff, 0xd8, 0xff, 0xe0)]);
    expect(decode(bytes)).toEqual(decode(files["baseline JPEG"]));
  });

  it("neither crashes nor throws anything else on altered bytes", () => {
    const altered = fc.record({
      file: fc.constantFrom(...Object.values(files)),
      changes: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 }),
    });
    fc.assert(
      fc.property(altered, ({ file, changes }) => {
        const bytes = file.slice();
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        const outcome = outcomeOf(() => {
          const header = readImageHeader(bytes, "inputs");
          checkPixels(header, 1_000_000, "inputs");
          decodeImage({ bytes, header, field: "inputs" }, TOOLS.codecs);
        });
        expect(["decoded", "unsupported_image", "image_too_large"]).toContain(outcome);
      }),
      { numRuns: 150 },
    );
    expect(decode(files.PNG)).toMatchObject({ width: WIDTH, height: HEIGHT });
  });
});

describe("bombs", () => {
  const HUGE = new Uint8Array(16 * 1024 * 1024);

  it("never inflates a PNG's profile and texts", () => {
    const profile = joined([new TextEncoder().encode("icc\0\0"), deflateSync(HUGE)]);
    const text = joined([new TextEncoder().encode("Comment\0\0"), deflateSync(HUGE)]);
    const bytes = withPngChunk(withPngChunk(files.PNG, "iCCP", profile), "zTXt", text);
    expect(decode(bytes)).toEqual(decode(files.PNG));
  });

  it("shows an animated PNG's first picture", () => {
    const animation = withPngChunk(files.PNG, "acTL", Uint8Array.of(0, 0, 0x10, 0, 0, 0, 0, 0));
    expect(decode(animation)).toEqual(decode(files.PNG));
  });

  it.each([
    ["", false],
    ["interlaced ", true],
  ])("refuses an %sPNG of 8 × 8 pixels that inflates to 48 MB", (_, interlaced) => {
    const bytes = pngOfChunks([
      ["IHDR", ihdr(8, 8, interlaced)],
      ["IDAT", deflateSync(new Uint8Array(48 * 1024 * 1024))],
      ["IEND", new Uint8Array()],
    ]);
    expect(() => decode(bytes)).toThrow("holds more data than its header says");
  });

  it("takes a PNG whose pixels stand in many chunks", () => {
    const row = new Uint8Array(1 + 3 * 2_000).fill(7);
    row[0] = 0;
    const deflated = deflateSync(joined(Array.from({ length: 1_000 }, () => row)), { level: 0 });
    const parts = Array.from({ length: Math.ceil(deflated.length / 8_192) }, (__, at) =>
      deflated.subarray(8_192 * at, 8_192 * (at + 1)),
    );
    const bytes = pngOfChunks([
      ["IHDR", ihdr(2_000, 1_000)],
      ...parts.map((part) => ["IDAT", part] as const),
      ["IEND", new Uint8Array()],
    ]);
    expect(decode(bytes)).toMatchObject({ width: 2_000, height: 1_000 });
  });

  it("reads no more of an interlaced PNG than its header says", () => {
    const bytes = pngOfChunks([
      ["IHDR", ihdr(8, 8, true)],
      ["IDAT", deflateSync(HUGE)],
      ["IEND", new Uint8Array()],
    ]);
    expect(decode(bytes)).toMatchObject({ width: 8, height: 8 });
  });
});

describe("instances of decoders", () => {
  /** How many are made while pictures are decoded. */
  function made(decoding: () => void): number {
    const instances = vi.spyOn(WebAssembly, "Instance");
    try {
      decoding();
      return instances.mock.calls.length;
    } finally {
      instances.mockRestore();
    }
  }
  const ROUNDS = 20;
  const often = (...pictures: readonly Uint8Array[]) =>
    made(() => {
      for (let round = 0; round < ROUNDS; round++)
        pictures.forEach((one) => outcomeOf(() => decode(one)));
    });

  it("are one for each format, however they alternate", () => {
    expect(
      often(files["baseline JPEG"], files["lossy WebP"], files.PNG, files["lossless WebP"]),
    ).toBeLessThanOrEqual(3);
  });

  it("go on after a picture that is cut off", () => {
    expect(often(withoutScanData(files["progressive JPEG"]))).toBeLessThanOrEqual(1);
  });

  it("go on a few times after a picture at which they give up", () => {
    const jpeg = files["baseline JPEG"].slice();
    const tables = jpeg.findIndex((byte, at) => byte === 0xff && jpeg[at + 1] === 0xdb);
    jpeg[tables + 4] = 0x0f;
    expect(outcomeOf(() => decode(jpeg))).toBe("unsupported_image");
    expect(often(jpeg)).toBeLessThanOrEqual(ROUNDS / 4 + 1);

    const png = files.PNG.slice();
    png.fill(0xaa, 60, 90);
    expect(often(png)).toBeLessThanOrEqual(ROUNDS / 4 + 1);
    const image = decode(files.PNG);
    expect(lossOf(image, upright)).toBe(0);
    expect(lossOf(decode(files["baseline JPEG"]), upright)).toBeLessThanOrEqual(LARGEST_LOSS);
  });

  it("stay when a picture of the most pixels made theirs grow", async () => {
    const large = await jpegOf(drawn(1_580, 1_580, gradient), { progressive: true });
    decode(large);
    expect(made(() => decode(large))).toBe(0);
  });
});

/** "decoded", or the code of what was thrown. */
function outcomeOf(decoding: () => void): unknown {
  try {
    decoding();
    return "decoded";
  } catch (error) {
    return error instanceof NearsideError ? error.code : error;
  }
}

/** A JPEG whose last scan is cut in half, with its end of image put back. */
function withoutScanData(jpeg: Uint8Array): Uint8Array {
  const scan = jpeg.findLastIndex((byte, at) => byte === 0xff && jpeg[at + 1] === 0xda);
  const kept = scan + Math.ceil((jpeg.length - scan) / 2);
  return joined([jpeg.subarray(0, kept), Uint8Array.of(0xff, 0xd9)]);
}
