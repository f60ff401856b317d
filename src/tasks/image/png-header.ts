import { exifOrientation, type Orientation } from "./exif.ts";
import { unsupportedImage } from "./failure.ts";
import type { FormatHeader } from "./header.ts";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const IHDR_BYTES = 13;
/** Length, type and check sum. */
const CHUNK_OVERHEAD = 12;

/** The chunks that pixels are made of; all others only cost, and may be bombs of their own (iCCP, zTXt). */
const NEEDED = new Set(["IHDR", "PLTE", "tRNS", "IDAT", "IEND"]);

interface Chunk {
  readonly type: string;
  /** The whole chunk. */
  readonly start: number;
  readonly end: number;
}

export function isPng(bytes: Uint8Array): boolean {
  return SIGNATURE.every((byte, at) => bytes[at] === byte);
}

/**
 * The size and the orientation of a PNG file (ISO/IEC 15948 §5, §11.2), walked through to its IEND.
 *
 * @throws NearsideError `unsupported_image`
 */
export function readPngHeader(bytes: Uint8Array, field: string): FormatHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let size: { width: number; height: number } | undefined;
  let orientation: Orientation = 1;
  let hasData = false;
  for (const { type, start, end } of chunksOf(view, field)) {
    if (size === undefined) {
      if (type !== "IHDR" || end - start !== CHUNK_OVERHEAD + IHDR_BYTES) {
        throw unsupportedImage("does not start with a PNG header", field);
      }
      size = { width: view.getUint32(start + 8), height: view.getUint32(start + 12) };
    } else if (type === "IHDR") {
      throw unsupportedImage("has two PNG headers", field);
    } else if (type === "eXIf") {
      orientation = exifOrientation(bytes.subarray(start + 8, end - 4));
    } else if (type === "IDAT") hasData = true;
  }
  if (size === undefined || !hasData) throw unsupportedImage("holds no picture", field);
  return { ...size, orientation };
}

/** The same picture without the chunks that say nothing of its pixels: an animation's first frame. */
export function pixelChunks(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kept = new Uint8Array(bytes.length);
  kept.set(bytes.subarray(0, SIGNATURE.length));
  let at = SIGNATURE.length;
  for (const { type, start, end } of chunksOf(view, "inputs")) {
    if (!NEEDED.has(type)) continue;
    kept.set(bytes.subarray(start, end), at);
    at += end - start;
  }
  return kept.subarray(0, at);
}

function* chunksOf(view: DataView, field: string): Generator<Chunk> {
  let at = SIGNATURE.length;
  for (;;) {
    if (at + CHUNK_OVERHEAD > view.byteLength) throw unsupportedImage("is cut off", field);
    const end = at + CHUNK_OVERHEAD + view.getUint32(at);
    if (end > view.byteLength) throw unsupportedImage("is cut off", field);
    const [a, b] = [view.getUint16(at + 4), view.getUint16(at + 6)];
    const type = String.fromCharCode(a >> 8, a & 0xff, b >> 8, b & 0xff);
    yield { type, start: at, end };
    if (type === "IEND") return;
    at = end;
  }
}
