import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";

/** What a file says, for its owner's eyes only; made when there is none, and the same until it is removed. */
export async function keptSecret(
  file: string,
  make: () => string | Promise<string>,
): Promise<string> {
  const kept = await readFile(file, "utf8").catch(() => "");
  if (kept.trim() !== "") return kept.trim();
  const secret = await make();
  await mkdir(path.dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, `${secret}\n`, { mode: 0o600 });
  await rename(draft, file);
  return secret;
}
