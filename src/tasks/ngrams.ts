const LONGEST_NGRAM = 4;

const HYPHENS = /-+/g;
const NO_LETTERS = /[^\p{L}\p{M}\s]/gu;
const SPACES = /\s{2,}/g;

/**
 * A text as lande's n-grams are counted in it (`getNormalized` of its package): letters, marks and single
 * spaces, in lower case, between two spaces.
 */
export function normalized(text: string): string {
  const letters = text.replace(HYPHENS, " ").replace(NO_LETTERS, "").replace(SPACES, " ");
  return ` ${letters.toLowerCase().trim()} `;
}

/** Whether a normalized text has anything to count. */
export function hasLetters(normal: string): boolean {
  return normal.length > 2;
}

/**
 * How often each n-gram stands in a normalized text, among all of its length (`getNgrams` of lande: UTF-16
 * units, overlapping).
 *
 * @param places of the n-grams that count, by the n-gram
 * @param frequencies filled from `offset` on; zeros before
 */
export function frequencies(
  normal: string,
  places: ReadonlyMap<string, number>,
  into = new Float32Array(places.size),
  offset = 0,
): Float32Array<ArrayBuffer> {
  const counts = new Uint32Array(places.size);
  for (let length = 1; length <= LONGEST_NGRAM; length++) {
    for (let at = 0; at + length <= normal.length; at++) {
      const place = places.get(normal.slice(at, at + length));
      if (place !== undefined) counts[place] = (counts[place] ?? 0) + 1;
    }
  }
  for (const [ngram, place] of places) {
    const count = counts[place] ?? 0;
    if (count > 0) into[offset + place] = count / (normal.length - ngram.length + 1);
  }
  return into;
}
