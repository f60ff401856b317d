/** How the stored picture has to be turned to stand upright, as EXIF numbers it; 1 is upright. */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

const ORIENTATION_TAG = 0x0112;
const SHORT = 3;
const ENTRY_BYTES = 12;

/** `Exif\0\0`, before the TIFF data in JPEG's APP1, and by some programs in WebP's EXIF chunk. */
const PREFIX = [0x45, 0x78, 0x69, 0x66, 0, 0];

/** TIFF data without the prefix; undefined where JPEG's prefix is missing and `isRequired`. */
export function withoutPrefix(data: Uint8Array, isRequired: boolean): Uint8Array | undefined {
  if (PREFIX.every((byte, at) => data[at] === byte)) return data.subarray(PREFIX.length);
  return isRequired ? undefined : data;
}

/**
 * The orientation that EXIF's first directory states (TIFF 6.0 §2, EXIF 2.32 §4.6.4). What is damaged or
 * missing states none: viewers show such a picture as it is stored.
 */
export function exifOrientation(tiff: Uint8Array): Orientation {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  if (view.byteLength < 8) return 1;
  const order = view.getUint16(0);
  if (order !== 0x4949 && order !== 0x4d4d) return 1;
  const isLittle = order === 0x4949;
  const directory = view.getUint32(4, isLittle);
  if (view.getUint16(2, isLittle) !== 42 || directory + 2 > view.byteLength) return 1;
  const count = view.getUint16(directory, isLittle);
  for (let index = 0; index < count; index++) {
    const entry = directory + 2 + index * ENTRY_BYTES;
    if (entry + ENTRY_BYTES > view.byteLength) return 1;
    if (view.getUint16(entry, isLittle) !== ORIENTATION_TAG) continue;
    if (view.getUint16(entry + 2, isLittle) !== SHORT) return 1;
    return orientationOf(view.getUint16(entry + 8, isLittle));
  }
  return 1;
}

function orientationOf(value: number): Orientation {
  return value >= 1 && value <= 8 ? (value as Orientation) : 1;
}
