import { exifOrientation, type Orientation, withoutPrefix } from "./exif.ts";
import { unsupportedImage } from "./failure.ts";
import type { FormatHeader } from "./header.ts";

const RIFF_HEADER_BYTES = 12;
const CHUNK_HEADER_BYTES = 8;
const ANIMATED = 0x02;

interface Size {
  readonly width: number;
  readonly height: number;
}

export function isWebp(bytes: Uint8Array): boolean {
  return fourCc(bytes, 0) === "RIFF" && fourCc(bytes, 8) === "WEBP";
}

/**
 * The size and the orientation of a WebP file (RFC 9649 §2): lossy, lossless or extended.
 *
 * @throws NearsideError `unsupported_image`, also for animations
 */
export function readWebpHeader(bytes: Uint8Array, field: string): FormatHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = CHUNK_HEADER_BYTES + view.getUint32(4, true);
  if (end > bytes.length) throw unsupportedImage("is cut off", field);
  let canvas: Size | undefined;
  let picture: Size | undefined;
  let orientation: Orientation = 1;
  for (let at = RIFF_HEADER_BYTES; at + CHUNK_HEADER_BYTES <= end;) {
    const bytesInChunk = view.getUint32(at + 4, true);
    const start = at + CHUNK_HEADER_BYTES;
    if (start + bytesInChunk > end) throw unsupportedImage("is cut off", field);
    const chunk = bytes.subarray(start, start + bytesInChunk);
    switch (fourCc(bytes, at)) {
      case "VP8X":
        canvas ??= readCanvas(chunk, field);
        break;
      case "VP8 ":
        picture ??= readLossy(chunk, field);
        break;
      case "VP8L":
        picture ??= readLossless(chunk, field);
        break;
      case "EXIF":
        orientation = exifOrientation(withoutPrefix(chunk, false) ?? chunk);
        break;
    }
    at = start + bytesInChunk + (bytesInChunk % 2);
  }
  if (picture === undefined) throw unsupportedImage("holds no picture", field);
  if (canvas && (canvas.width !== picture.width || canvas.height !== picture.height)) {
    throw unsupportedImage("has another size than its canvas", field);
  }
  return { ...picture, orientation };
}

function readCanvas(chunk: Uint8Array, field: string): Size {
  const [flags] = chunk;
  if (flags === undefined || chunk.length < 10) throw unsupportedImage("is cut off", field);
  if ((flags & ANIMATED) !== 0) {
    throw unsupportedImage("is an animation; send one of its frames", field);
  }
  return { width: 1 + uint24(chunk, 4), height: 1 + uint24(chunk, 7) };
}

/** A VP8 key frame: RFC 6386 §9.1. */
function readLossy(chunk: Uint8Array, field: string): Size {
  const [tag, , , one, two, three] = chunk;
  if (chunk.length < 10) throw unsupportedImage("is cut off", field);
  if (((tag ?? 1) & 1) !== 0 || one !== 0x9d || two !== 0x01 || three !== 0x2a) {
    throw unsupportedImage("is no WebP key frame", field);
  }
  return { width: uint24(chunk, 6) & 0x3fff, height: uint24(chunk, 8, 2) & 0x3fff };
}

/** A lossless stream: RFC 9649 §3.4. */
function readLossless(chunk: Uint8Array, field: string): Size {
  if (chunk.length < 5) throw unsupportedImage("is cut off", field);
  if (chunk[0] !== 0x2f) throw unsupportedImage("is no lossless WebP", field);
  const bits = uint24(chunk, 1) + (chunk[4] ?? 0) * 0x100_0000;
  return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff) };
}

function uint24(bytes: Uint8Array, at: number, count = 3): number {
  let value = 0;
  for (let index = count - 1; index >= 0; index--) value = value * 256 + (bytes[at + index] ?? 0);
  return value;
}

function fourCc(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + 4));
}
