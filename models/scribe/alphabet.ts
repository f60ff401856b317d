/** The token before a text begins, and after it has ended. */
export const END = 0;

const CHARACTERS = `\n${String.fromCharCode(...Array.from({ length: 95 }, (_, index) => 32 + index))}`;

/** END, the line break, and the 95 printable characters of ASCII. */
export const VOCABULARY = 1 + CHARACTERS.length;

/** What people and editors write for characters that ASCII has. */
const LOOKALIKES: ReadonlyMap<string, string> = new Map([
  ["\t", "  "],
  ["\r", ""],
  ["\u00a0", " "],
  ["\u2010", "-"],
  ["\u2011", "-"],
  ["\u2013", "-"],
  ["\u2014", "-"],
  ["\u2018", "'"],
  ["\u2019", "'"],
  ["\u201c", '"'],
  ["\u201d", '"'],
  ["\u2026", "..."],
]);
const UNKNOWN = "?";

/** Typographic characters become their plain ones; what is left may still be outside the alphabet. */
export function plain(text: string): string {
  return Array.from(text, (character) => LOOKALIKES.get(character) ?? character).join("");
}

/** A token for each character; those that the alphabet lacks become "?". */
export function encode(text: string): number[] {
  return Array.from(plain(text), (character) => {
    const place = CHARACTERS.indexOf(character);
    return 1 + (place < 0 ? CHARACTERS.indexOf(UNKNOWN) : place);
  });
}

/** The tokens of a text that begins. */
export function encodePrompt(text: string): number[] {
  return [END, ...encode(text)];
}

/** The characters of tokens; END is none. */
export function decode(tokens: Iterable<number>): string {
  let text = "";
  for (const token of tokens) text += CHARACTERS[token - 1] ?? "";
  return text;
}
