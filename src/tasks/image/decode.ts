import jpegGlue from "@jsquash/jpeg/codec/dec/mozjpeg_dec.js";
import webpGlue from "@jsquash/webp/codec/dec/webp_dec.js";

import type { ImageCodecs } from "../tools.ts";
import type { Codec, RgbaImage } from "./codec.ts";
import { type Glue, startEmscriptenCodec } from "./emscripten-codec.ts";
import { unsupportedImage } from "./failure.ts";
import type { ImageFormat } from "./header.ts";
import type { RequestImage } from "./inputs.ts";
import { orient } from "./orient.ts";
import { inflatesBeyond } from "./inflated.ts";
import { deflatedPixels, filteredBytes, pixelChunks } from "./png-header.ts";
import { startPngCodec } from "./png-codec.ts";

/**
 * The JPEG and WebP decoders start with 17 MB, and a picture of 2.5 megapixels makes 28 of them at most. One of
 * each format is kept while all together have no more than this, for what is dropped stays until it is collected:
 * of pictures that came in two formats in turn, with one kept, eight instances were alive at once (measured).
 */
const MAX_KEPT_BYTES = 48 * 1024 * 1024;

/** The coefficients of a progressive JPEG, its pixels, and room; with what a codec starts with. */
const BYTES_PER_PIXEL = 16;
const BASE_BYTES = 20 * 1024 * 1024;

/** The PNG decoder inflates all that there is, and leaves out what is too much: this much takes it 40 ms (measured). */
const SPARE_BYTES = 32 * 1024 * 1024;

/** The decoders that an isolate keeps, the one that was used last at the end. */
const kept = new Map<WebAssembly.Module, Codec>();

/**
 * Decodes a picture whose pixels have been counted, and turns it upright.
 *
 * It is synchronous, as inference is. A picture of 2.5 megapixels takes 10 MB here, as much again while it is
 * turned, and 17 to 26 MB in the decoder, the most for a progressive JPEG (measured).
 *
 * @throws NearsideError `unsupported_image` when it is cut off, damaged, or not what its header says
 *
 * @example
 * const { width, height, data } = decodeImage({ bytes, header, field: "inputs" }, tools.codecs);
 */
export function decodeImage(
  { bytes, header, field }: RequestImage,
  codecs: ImageCodecs,
): RgbaImage {
  const stored = decodeStored({ bytes, header, field }, codecs);
  if (stored.width !== header.width || stored.height !== header.height) {
    throw unsupportedImage("has another size than its header says", field);
  }
  return orient(stored, header.orientation);
}

function decodeStored({ bytes, header, field }: RequestImage, codecs: ImageCodecs): RgbaImage {
  const { format, width, height } = header;
  if (
    format === "png" &&
    inflatesBeyond(deflatedPixels(bytes), filteredBytes(bytes) + SPARE_BYTES)
  ) {
    throw unsupportedImage("holds more data than its header says", field);
  }
  const wasm = codecs[format];
  const codec = kept.get(wasm) ?? START[format](wasm);
  try {
    return codec.decode(
      format === "png" ? pixelChunks(bytes) : bytes,
      BASE_BYTES + 2 * bytes.length + BYTES_PER_PIXEL * width * height,
    );
  } catch (cause) {
    throw unsupportedImage("is damaged or cut off", field, cause);
  } finally {
    kept.delete(wasm);
    if (codec.isUsable) keep(wasm, codec);
  }
}

/** The others go before it, the one that was not used for longest first. */
function keep(wasm: WebAssembly.Module, codec: Codec): void {
  kept.set(wasm, codec);
  let total = 0;
  for (const { memoryBytes } of kept.values()) total += memoryBytes;
  for (const [other, { memoryBytes }] of kept) {
    if (total <= MAX_KEPT_BYTES) break;
    kept.delete(other);
    total -= memoryBytes;
  }
}

const START: Readonly<Record<ImageFormat, (wasm: WebAssembly.Module) => Codec>> = {
  // Its own reading of the orientation is left out.
  jpeg: (wasm) => startEmscriptenCodec(jpegGlue as unknown as Glue, wasm, false),
  png: startPngCodec,
  webp: (wasm) => startEmscriptenCodec(webpGlue as unknown as Glue, wasm),
};
