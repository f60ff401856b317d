import { joinedOrOnly } from "../../bytes.ts";
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

/** ISO/IEC 15948 §11.2.2: samples of a pixel, by colour type. */
const SAMPLES: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/** §8.2: where the seven passes of an interlaced picture start, and how far apart their pixels are. */
const PASSES = [
  { left: 0, top: 0, across: 8, down: 8 },
  { left: 4, top: 0, across: 8, down: 8 },
  { left: 0, top: 4, across: 4, down: 8 },
  { left: 2, top: 0, across: 4, down: 4 },
  { left: 0, top: 2, across: 2, down: 4 },
  { left: 1, top: 0, across: 2, down: 2 },
  { left: 0, top: 1, across: 1, down: 2 },
];
const WHOLE = [{ left: 0, top: 0, across: 1, down: 1 }];

/** Bytes of all rows with their filters, as they are before they are deflated. */
export function filteredBytes(bytes: Uint8Array): number {
  const header = new DataView(bytes.buffer, bytes.byteOffset + SIGNATURE.length + 8, IHDR_BYTES);
  const [width, height] = [header.getUint32(0), header.getUint32(4)];
  const bits = header.getUint8(8) * (SAMPLES[header.getUint8(9)] ?? 0);
  const passes = header.getUint8(12) === 1 ? PASSES : WHOLE;
  return passes.reduce((sum, { left, top, across, down }) => {
    const columns = Math.max(0, Math.ceil((width - left) / across));
    const rows = Math.max(0, Math.ceil((height - top) / down));
    return columns === 0 ? sum : sum + rows * (1 + Math.ceil((columns * bits) / 8));
  }, 0);
}

/** The deflated pixels: the content of all IDAT. */
export function deflatedPixels(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks = [...chunksOf(view, "inputs")].filter(({ type }) => type === "IDAT");
  const deflated = chunks.map(({ start, end }) => bytes.subarray(start + 8, end - 4));
  return joinedOrOnly(deflated);
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
