import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";

/** Where the local stack keeps its operator's secret, for its owner's eyes only. */
export function adminTokenFile(stateFolder: string): string {
  return path.join(stateFolder, "admin-token");
}

export function randomToken(): string {
  return randomBytes(32).toString("hex");
}

/** The token of a state folder, made when there is none: it stays the same until `--fresh`. */
export async function keptAdminToken(stateFolder: string): Promise<string> {
  const file = adminTokenFile(stateFolder);
  const kept = await readFile(file, "utf8").catch(() => "");
  if (kept.trim() !== "") return kept.trim();
  const token = randomToken();
  await mkdir(stateFolder, { recursive: true });
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, `${token}\n`, { mode: 0o600 });
  await rename(draft, file);
  return token;
}
