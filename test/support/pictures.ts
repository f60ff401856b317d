import { readFileSync } from "node:fs";
import path from "node:path";
import { crc32 } from "node:zlib";

import encodeJpeg, { init as initJpeg } from "@jsquash/jpeg/encode.js";
import encodePng, { init as initPng } from "@jsquash/png/encode.js";
import encodeWebp, { init as initWebp } from "@jsquash/webp/encode.js";

import { joined } from "../../src/bytes.ts";
import { compile } from "../../src/publish/runtime.ts";
import { ROOT } from "../../src/publish/workspace.ts";

/** Pixels that the encoders take. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray<ArrayBuffer>;
}

export type PixelAt = (x: number, y: number) => readonly [number, number, number, number?];

/** A picture that a function draws: red, green, blue and perhaps alpha. */
export function drawn(width: number, height: number, at: PixelAt): Pixels {
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [red, green, blue, alpha = 255] = at(x, y);
      data.set([red, green, blue, alpha], (y * width + x) * 4);
    }
  }
  return { width, height, data };
}

/** Soft colours that differ in all four corners; the codecs keep them within a few levels. */
export const gradient: PixelAt = (x, y) => [wave(x, 90), wave(y, 70), wave(x + 2 * y, 200)];

function wave(at: number, length: number): number {
  return Math.round(128 + 100 * Math.sin(at / length));
}

await initJpeg(encoder("@jsquash/jpeg/codec/enc/mozjpeg_enc.wasm"));
await initPng(encoder("@jsquash/png/codec/pkg/squoosh_png_bg.wasm"));
await initWebp(encoder("@jsquash/webp/codec/enc/webp_enc_simd.wasm"));

export async function jpegOf(
  pixels: Pixels,
  options: Parameters<typeof encodeJpeg>[1] = {},
): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await encodeJpeg(asImageData(pixels), options));
}

export async function pngOf(pixels: Pixels): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await encodePng(asImageData(pixels)));
}

export async function webpOf(
  pixels: Pixels,
  options: Parameters<typeof encodeWebp>[1] = {},
): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await encodeWebp(asImageData(pixels), options));
}

function encoder(file: string): WebAssembly.Module {
  return compile(Uint8Array.from(readFileSync(path.join(ROOT, "node_modules", file))));
}

/** Node has no ImageData; the encoders only read its fields. */
function asImageData(pixels: Pixels): Parameters<typeof encodeJpeg>[0] {
  return { ...pixels, colorSpace: "srgb" };
}

/** EXIF as TIFF data: another tag, then the orientation. */
export function exif(orientation: number, isLittle = true): Uint8Array<ArrayBuffer> {
  const tiff = new DataView(new ArrayBuffer(38));
  tiff.setUint16(0, isLittle ? 0x4949 : 0x4d4d);
  tiff.setUint16(2, 42, isLittle);
  tiff.setUint32(4, 8, isLittle);
  tiff.setUint16(8, 2, isLittle);
  for (const [index, [tag, value]] of [
    [0x0100, 640],
    [0x0112, orientation],
  ].entries()) {
    const entry = 10 + 12 * index;
    tiff.setUint16(entry, tag ?? 0, isLittle);
    tiff.setUint16(entry + 2, 3, isLittle);
    tiff.setUint32(entry + 4, 1, isLittle);
    tiff.setUint16(entry + 8, value ?? 0, isLittle);
  }
  return new Uint8Array(tiff.buffer);
}

/** A JPEG with EXIF in an APP1 segment. */
export function withJpegExif(jpeg: Uint8Array, tiff: Uint8Array): Uint8Array<ArrayBuffer> {
  const length = 2 + 6 + tiff.length;
  const head = [0xff, 0xe1, length >> 8, length & 0xff, ...new TextEncoder().encode("Exif\0\0")];
  return joined([jpeg.subarray(0, 2), Uint8Array.from(head), tiff, jpeg.subarray(2)]);
}

const IHDR_END = 33;

/** A PNG with a further chunk behind its header. */
export function withPngChunk(
  png: Uint8Array,
  type: string,
  data: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return joined([png.subarray(0, IHDR_END), pngChunk(type, data), png.subarray(IHDR_END)]);
}

/** A PNG of these chunks. */
export function pngOfChunks(
  chunks: readonly (readonly [type: string, data: Uint8Array])[],
): Uint8Array<ArrayBuffer> {
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
  return joined([signature, ...chunks.map(([type, data]) => pngChunk(type, data))]);
}

/** The content of an IHDR: 8-bit RGB, perhaps interlaced. */
export function ihdr(width: number, height: number, interlaced = false): Uint8Array<ArrayBuffer> {
  const data = new DataView(new ArrayBuffer(13));
  data.setUint32(0, width);
  data.setUint32(4, height);
  data.setUint32(8, 0x08_02_00_00);
  data.setUint8(12, interlaced ? 1 : 0);
  return new Uint8Array(data.buffer);
}

function pngChunk(type: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const body = joined([new TextEncoder().encode(type), data]);
  const [length, sum] = [new DataView(new ArrayBuffer(4)), new DataView(new ArrayBuffer(4))];
  length.setUint32(0, data.length);
  sum.setUint32(0, crc32(body));
  return joined([new Uint8Array(length.buffer), body, new Uint8Array(sum.buffer)]);
}

/** A WebP in the extended form, with flags, a canvas and perhaps EXIF. */
export function extendedWebp(
  webp: Uint8Array,
  { width, height }: Pick<Pixels, "width" | "height">,
  { flags = 0x08, tiff }: { flags?: number; tiff?: Uint8Array } = {},
): Uint8Array<ArrayBuffer> {
  const canvas = new DataView(new ArrayBuffer(10));
  canvas.setUint8(0, flags);
  canvas.setUint16(4, width - 1, true);
  canvas.setUint16(7, height - 1, true);
  const chunks = joined([
    riffChunk("VP8X", new Uint8Array(canvas.buffer)),
    webp.subarray(12),
    ...(tiff ? [riffChunk("EXIF", tiff)] : []),
  ]);
  return riffChunk("RIFF", joined([new TextEncoder().encode("WEBP"), chunks]));
}

function riffChunk(type: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, data.length, true);
  const padding = new Uint8Array(data.length % 2);
  return joined([new TextEncoder().encode(type), new Uint8Array(length.buffer), data, padding]);
}
