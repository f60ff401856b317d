import { readFile, rename, writeFile } from "node:fs/promises";

/** Writes a file that others may be reading, unless it has these bytes already. */
export async function writeIfOther(file: string, bytes: Uint8Array): Promise<void> {
  const present = await readFile(file).catch(() => undefined);
  if (present?.equals(bytes)) return;
  // Renamed into place, so that an interrupted write is never taken for the whole.
  const partial = `${file}.${process.pid}`;
  await writeFile(partial, bytes);
  await rename(partial, file);
}
