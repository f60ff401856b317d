import { readFile } from "node:fs/promises";
import path from "node:path";

import * as v from "valibot";

import { ROOT } from "../../../publish/workspace.ts";

/** The quick start of sentence-transformers and the similarities that its page prints (sbert.net). */
export const QUICK_START = {
  sentences: ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."],
  similarities: [
    [0, 1, 0.666],
    [0, 2, 0.1046],
    [1, 2, 0.1411],
  ],
} as const;

const TokenizedSentences = v.array(v.object({ text: v.string(), ids: v.array(v.number()) }));
export type TokenizedSentence = v.InferOutput<typeof TokenizedSentences>[number];

/**
 * Texts of many kinds, short and long, questions, code, numbers, other scripts, none at all; with their
 * tokens by sentence-transformers.
 */
export async function tokenizedSentences(): Promise<TokenizedSentence[]> {
  const file = path.join(ROOT, "models/minilm/samples/tokens.json");
  return v.parse(TokenizedSentences, JSON.parse(await readFile(file, "utf8")));
}
