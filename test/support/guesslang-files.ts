import { mkdir, rename, writeFile } from "node:fs/promises";
import path from "node:path";

import { guesslangVariant } from "../../models/guesslang/variants.ts";
import { readTexts } from "../../src/cli/prove/rollout/texts.ts";
import { GENERATED } from "../../src/publish/workspace.ts";
import { GUESSLANG_LEVELS, graphFile, TEXTS_FILE } from "./guesslang-names.ts";

const FOLDER = path.join(GENERATED, "test/snapshots");

/** Guesslang in three builds, and real files to ask it about, for tests inside workerd, which have no files. */
export async function storeGuesslang(): Promise<void> {
  await mkdir(FOLDER, { recursive: true });
  for (const levels of Object.values(GUESSLANG_LEVELS)) {
    await write(graphFile(levels), await guesslangVariant(levels));
  }
  const texts = (await readTexts()).map((bytes) => Buffer.from(bytes).toString("base64"));
  await write(TEXTS_FILE, JSON.stringify(texts));
}

/** Several runs of the tests may write at once. */
async function write(name: string, content: Uint8Array | string): Promise<void> {
  const partial = path.join(FOLDER, `${name}.${process.pid}`);
  await writeFile(partial, content);
  await rename(partial, path.join(FOLDER, name));
}
