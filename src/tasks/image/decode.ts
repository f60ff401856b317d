import jpegGlue from "@jsquash/jpeg/codec/dec/mozjpeg_dec.js";
import webpGlue from "@jsquash/webp/codec/dec/webp_dec.js";

import type { ImageCodecs } from "../tools.ts";
import type { Codec, RgbaImage } from "./codec.ts";
import { type Glue, startEmscriptenCodec } from "./emscripten-codec.ts";
import { unsupportedImage } from "./failure.ts";
import type { ImageFormat } from "./header.ts";
import type { RequestImage } from "./inputs.ts";
import { orient } from "./orient.ts";
import { pixelChunks } from "./png-header.ts";
import { startPngCodec } from "./png-codec.ts";

/**
 * What the JPEG and WebP decoders start with (17 MB) and a little more. An instance that has grown further is
 * dropped; so are all but the last used: one stands beside the 96 MB of models in an isolate's 128. A new
 * one costs 0.3 ms, once its code is compiled (measured), and 17 MB until it is collected.
 */
const MAX_KEPT_BYTES = 18 * 1024 * 1024;

/** The coefficients of a progressive JPEG, its pixels, and room; with what a codec starts with. */
const BYTES_PER_PIXEL = 16;
const BASE_BYTES = 20 * 1024 * 1024;

/** The decoder that an isolate keeps. */
let kept: { readonly wasm: WebAssembly.Module; readonly codec: Codec } | undefined;

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
  const wasm = codecs[format];
  const codec = kept?.wasm === wasm ? kept.codec : START[format](wasm);
  // What throws may leave its instance in any state.
  kept = undefined;
  let image: RgbaImage;
  try {
    image = codec.decode(
      format === "png" ? pixelChunks(bytes) : bytes,
      BASE_BYTES + 2 * bytes.length + BYTES_PER_PIXEL * width * height,
    );
  } catch (cause) {
    throw unsupportedImage("is damaged or cut off", field, cause);
  }
  if (codec.memoryBytes <= MAX_KEPT_BYTES) kept = { wasm, codec };
  return image;
}

const START: Readonly<Record<ImageFormat, (wasm: WebAssembly.Module) => Codec>> = {
  // Its own reading of the orientation is left out.
  jpeg: (wasm) => startEmscriptenCodec(jpegGlue as unknown as Glue, wasm, false),
  png: startPngCodec,
  webp: (wasm) => startEmscriptenCodec(webpGlue as unknown as Glue, wasm),
};
