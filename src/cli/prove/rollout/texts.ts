import { readFile } from "node:fs/promises";
import path from "node:path";

import * as v from "valibot";

import { ROOT } from "../../../publish/workspace.ts";

/** The model that is rolled out. */
export const MODEL = "guesslang";

const RealFiles = v.array(v.object({ path: v.string() }));

/** More than these bytes of a file say nothing new, and cost time. */
const PIECE_BYTES = 1_500;
const MOST_PIECES_OF_A_FILE = 40;

/** Pieces of real source files, from installed packages. */
export async function readTexts(): Promise<Uint8Array<ArrayBuffer>[]> {
  const list = path.join(ROOT, "models", MODEL, "samples/real-files.json");
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for (const file of v.parse(RealFiles, JSON.parse(await readFile(list, "utf8")))) {
    const bytes = new Uint8Array(await readFile(path.join(ROOT, file.path)));
    const count = Math.min(Math.ceil(bytes.length / PIECE_BYTES), MOST_PIECES_OF_A_FILE);
    for (let piece = 0; piece < count; piece++) {
      const text = bytes.slice(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES);
      if (text.length > PIECE_BYTES / 4) pieces.push(text);
    }
  }
  return pieces;
}
