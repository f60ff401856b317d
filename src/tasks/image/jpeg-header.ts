import { exifOrientation, type Orientation, withoutPrefix } from "./exif.ts";
import { unsupportedImage } from "./failure.ts";
import type { FormatHeader } from "./header.ts";

/**
 * Each scan of a progressive picture visits every block, however few bytes it has; programs write about
 * ten, and libjpeg-turbo's own tests of hostile files stop at 500.
 */
const MAX_SCANS = 64;

const SOI = 0xd8;
const EOI = 0xd9;
const SOS = 0xda;
const APP1 = 0xe1;
const TEM = 0x01;

/** Start of frame, ITU T.81 table B.1: all of 0xC0 to 0xCF but DHT (C4), JPG (C8) and DAC (CC). */
const isFrame = (marker: number): boolean =>
  marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
const isRestart = (marker: number): boolean => marker >= 0xd0 && marker <= 0xd7;

export function isJpeg(bytes: Uint8Array): boolean {
  return bytes[0] === 0xff && bytes[1] === SOI && bytes[2] === 0xff;
}

/**
 * The size and the orientation of a JPEG file (ITU T.81 annex B), walked through to its end of image.
 *
 * libjpeg fills what is missing with grey and calls it a warning, so a file without an end of image is
 * refused here. What follows the end is let be: cameras and phones append previews and videos.
 *
 * @throws NearsideError `unsupported_image`
 */
export function readJpegHeader(bytes: Uint8Array, field: string): FormatHeader {
  let frame: { width: number; height: number } | undefined;
  let orientation: Orientation | undefined;
  let scans = 0;
  let at = 2;
  for (;;) {
    const marker = nextMarker(bytes, at);
    if (marker === undefined) throw unsupportedImage("is cut off", field);
    const { code, end } = marker;
    if (code === EOI) break;
    if (code === TEM || code === SOI || isRestart(code)) {
      at = end;
      continue;
    }
    const length = uint16(bytes, end);
    if (length === undefined || length < 2 || end + length > bytes.length) {
      throw unsupportedImage("is cut off", field);
    }
    const segment = bytes.subarray(end + 2, end + length);
    at = end + length;
    if (isFrame(code)) {
      if (frame !== undefined) throw unsupportedImage("has two frames", field);
      frame = readFrame(code, segment, field);
    } else if (code === APP1) {
      const tiff = withoutPrefix(segment, true);
      if (tiff !== undefined) orientation ??= exifOrientation(tiff);
    } else if (code === SOS) {
      if (frame === undefined) throw unsupportedImage("has no frame before its data", field);
      if (++scans > MAX_SCANS) throw unsupportedImage(`has more than ${MAX_SCANS} scans`, field);
      at = endOfScan(bytes, at);
    }
  }
  if (frame === undefined || scans === 0) throw unsupportedImage("holds no picture", field);
  return { ...frame, orientation: orientation ?? 1 };
}

function readFrame(
  code: number,
  segment: Uint8Array,
  field: string,
): { width: number; height: number } {
  if (code > 0xc2) {
    throw unsupportedImage("is a lossless, hierarchical or arithmetic-coded JPEG", field);
  }
  const [precision, , , , , components] = segment;
  const height = uint16(segment, 1);
  const width = uint16(segment, 3);
  if (height === undefined || width === undefined || components === undefined) {
    throw unsupportedImage("is cut off", field);
  }
  if (precision !== 8) throw unsupportedImage("has more than 8 bits per sample", field);
  if (components !== 1 && components !== 3) {
    throw unsupportedImage("is neither grey nor YCbCr nor RGB; convert it from CMYK", field);
  }
  return { width, height };
}

/** The next marker at or after `at`; what stands before it is skipped, as libjpeg does. */
function nextMarker(bytes: Uint8Array, at: number): { code: number; end: number } | undefined {
  let start = bytes.indexOf(0xff, at);
  while (start >= 0) {
    let end = start + 1;
    while (bytes[end] === 0xff) end++;
    const code = bytes[end];
    if (code === undefined) return undefined;
    if (code !== 0) return { code, end: end + 1 };
    start = bytes.indexOf(0xff, end);
  }
  return undefined;
}

/** Where the marker stands that ends the entropy-coded data: neither a stuffed 0xFF nor a restart. */
function endOfScan(bytes: Uint8Array, start: number): number {
  let at = bytes.indexOf(0xff, start);
  while (at >= 0) {
    const next = bytes[at + 1];
    if (next === undefined) return bytes.length;
    if (next !== 0 && next !== 0xff && !isRestart(next)) return at;
    at = bytes.indexOf(0xff, next === 0xff ? at + 1 : at + 2);
  }
  return bytes.length;
}

function uint16(bytes: Uint8Array, at: number): number | undefined {
  const [high, low] = [bytes[at], bytes[at + 1]];
  return high === undefined || low === undefined ? undefined : high * 256 + low;
}
