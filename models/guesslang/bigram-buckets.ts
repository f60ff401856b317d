/** What TensorFlow's `StringToHashBucketFast` takes the hash modulo of. */
export const BUCKETS = 5000;

const MASK = (1n << 64n) - 1n;
const K0 = 0xc3a5_c85c_97cb_3127n;
const K2 = 0x9ae1_6a3b_2f90_404fn;
const SPACE = 0x20;
/** Bytes of "a b". */
const LENGTH = 3;

/** The bucket of every bigram, at `256 × first byte + second byte`. */
export function bigramBuckets(): Uint16Array<ArrayBuffer> {
  const buckets = new Uint16Array(65_536);
  for (let first = 0; first < 256; first++) {
    for (let second = 0; second < 256; second++) {
      buckets[256 * first + second] = Number(fingerprint64(first, second) % BigInt(BUCKETS));
    }
  }
  return buckets;
}

/**
 * FarmHash Fingerprint64 of the three bytes `first`, space, `second`.
 * Source: github.com/google/farmhash, src/farmhash.cc, farmhashna::HashLen0to16 for lengths 1 to 3.
 */
function fingerprint64(first: number, second: number): bigint {
  const y = BigInt(first + (SPACE << 8));
  const z = BigInt(LENGTH + (second << 2));
  const mixed = ((y * K2) ^ (z * K0)) & MASK;
  return ((mixed ^ (mixed >> 47n)) * K2) & MASK;
}
