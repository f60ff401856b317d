/** The class of "nothing here". */
const BLANK = 0;

export interface Reading {
  readonly text: string;
  /** Mean probability of the characters; 0 without any. */
  readonly score: number;
}

/** The characters that the recogniser tells apart, by class - 1. The authors' list leaves out the last: a space. */
export function parseCharacters(asset: Uint8Array): string[] {
  const lines = new TextDecoder().decode(asset).split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  return [...lines, " "];
}

const DIGIT = /\d$/;

/**
 * Greedy decoding of connectionist temporal classification: a class that goes on is one character.
 *
 * @param isParted whether a gap is to be seen between two steps: cells of a table are not to become one number
 */
export function decodeCtc(
  classes: ArrayLike<number>,
  scores: ArrayLike<number>,
  characters: readonly string[],
  isParted: (from: number, to: number) => boolean = () => false,
): Reading {
  let [text, sum, count, last, before] = ["", 0, 0, BLANK, 0];
  for (let step = 0; step < classes.length; step++) {
    const found = classes[step] ?? BLANK;
    if (found !== BLANK && found !== last) {
      const character = characters[found - 1] ?? "";
      const isDigits = DIGIT.test(character) && DIGIT.test(text);
      text += isDigits && isParted(before, step) ? ` ${character}` : character;
      before = step;
      sum += scores[step] ?? 0;
      count++;
    }
    last = found;
  }
  return { text: narrowed(text), score: count === 0 ? 0 : sum / count };
}

const CHINESE = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u;
/** From ！ to ～ in the order of ASCII. */
const WIDE = /[\uff01-\uff5e]/g;
const WIDE_OFFSET = 0xfee0;

/** The recogniser takes "," for "，" at times: where nothing is Chinese, no sign is. */
function narrowed(text: string): string {
  if (CHINESE.test(text)) return text;
  return text.replaceAll(WIDE, (sign) => String.fromCharCode(sign.charCodeAt(0) - WIDE_OFFSET));
}

/** Readings of a line's pieces as one. */
export function joined(pieces: readonly (Reading & { readonly spaced: boolean })[]): Reading {
  let [text, sum, count] = ["", 0, 0];
  for (const piece of pieces) {
    const gap = piece.spaced && text !== "" && !text.endsWith(" ") ? " " : "";
    text += gap + (gap === "" ? piece.text : piece.text.trimStart());
    sum += piece.score * piece.text.length;
    count += piece.text.length;
  }
  return { text, score: count === 0 ? 0 : sum / count };
}
