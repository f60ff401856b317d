import { readFileSync } from "node:fs";
import path from "node:path";

import { decodeImage, readImageHeader, resizeBilinear } from "../tasks/image/index.ts";
import type { ImageCodecs } from "../tasks/tools.ts";
import { compile } from "./runtime.ts";
import { ROOT } from "./workspace.ts";

let compiled: ImageCodecs | undefined;

/**
 * The pixels of a JPEG, PNG or WebP file in base64: red, green and blue from 0 to 255, row by row, as what
 * answers requests decodes them.
 */
export function picturePixels(base64: string): number[] {
  const bytes = new Uint8Array(Buffer.from(base64, "base64"));
  const header = readImageHeader(bytes, "picture");
  const image = decodeImage({ bytes, header, field: "picture" }, (compiled ??= imageCodecs()));
  return [...resizeBilinear(image, image.width, image.height)];
}

/** The decoders that the edge Worker brings, compiled by Node. */
export function imageCodecs(): ImageCodecs {
  return {
    jpeg: wasmOf("@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm"),
    png: wasmOf("@jsquash/png/codec/pkg/squoosh_png_bg.wasm"),
    webp: wasmOf("@jsquash/webp/codec/dec/webp_dec.wasm"),
  };
}

function wasmOf(file: string): WebAssembly.Module {
  return compile(Uint8Array.from(readFileSync(path.join(ROOT, "node_modules", file))));
}
