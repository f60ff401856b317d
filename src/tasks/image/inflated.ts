import { Unzlib } from "fflate";

/** No byte of deflate stands for more (a match of 258 bytes takes two bits). */
const MOST_INFLATION = 1_032;

/** A slice is inflated whole before it is counted: 8 MB at most. (4 MB take 0.12 s so, and 0.2 s in smaller ones.) */
const SLICE_BYTES = 8_192;

class Beyond extends Error {}

/**
 * Whether a zlib stream (RFC 1950) inflates to more than so many bytes; it is read no further than that. What is
 * damaged is for the decoder that comes after to refuse.
 */
export function inflatesBeyond(zlib: Uint8Array, maxBytes: number): boolean {
  if (zlib.length * MOST_INFLATION <= maxBytes) return false;
  let total = 0;
  const inflater = new Unzlib((bytes) => {
    total += bytes.length;
    if (total > maxBytes) throw new Beyond();
  });
  try {
    for (let at = 0; at < zlib.length; at += SLICE_BYTES) {
      inflater.push(zlib.subarray(at, at + SLICE_BYTES));
    }
    return false;
  } catch (error) {
    return error instanceof Beyond;
  }
}
