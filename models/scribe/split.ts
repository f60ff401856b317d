import { encode, END } from "./alphabet.ts";
import { mulberry32, shuffled } from "./random.ts";

/** Long manuals are cut between paragraphs, so that each stretch of training sees many of them. */
const PIECE_CHARACTERS = 6000;
const HELD_CHARACTERS = 80_000;
/** Held-out documents are whole ones; no manual is so long that it would be most of them. */
const LONGEST_HELD_CHARACTERS = 20_000;

/** Texts that training sees, and texts that it never does, as tokens with END around each. */
export interface Split {
  readonly training: Uint8Array;
  readonly held: Uint8Array;
}

/** The same for the same seed. */
export function splitDocuments(documents: readonly string[], seed: number): Split {
  const random = mulberry32(seed);
  const held: string[] = [];
  const pieces: string[] = [];
  let characters = 0;
  for (const document of shuffled(documents, random)) {
    if (characters < HELD_CHARACTERS && document.length <= LONGEST_HELD_CHARACTERS) {
      held.push(document);
      characters += document.length;
    } else {
      pieces.push(...piecesOf(document));
    }
  }
  return { training: tokensOf(shuffled(pieces, random)), held: tokensOf(held) };
}

function piecesOf(document: string): string[] {
  const pieces: string[] = [];
  let piece = "";
  for (const paragraph of document.split("\n\n")) {
    piece += piece === "" ? paragraph : `\n\n${paragraph}`;
    if (piece.length < PIECE_CHARACTERS) continue;
    pieces.push(piece);
    piece = "";
  }
  return piece === "" ? pieces : [...pieces, piece];
}

function tokensOf(texts: readonly string[]): Uint8Array {
  return Uint8Array.from(texts.flatMap((text) => [END, ...encode(text)]).concat(END));
}
