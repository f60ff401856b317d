import { readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";

import * as v from "valibot";

/** `stack.json` in the state folder, for its owner's eyes only: where `npm start` listens. */
const Announcement = v.object({
  pid: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  port: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(65_535)),
  /** Whoever shows it may do anything with the bucket. */
  token: v.pipe(v.string(), v.minLength(32)),
  /** The control plane, where one is served. */
  controlUrl: v.optional(v.pipe(v.string(), v.url())),
  adminToken: v.optional(v.pipe(v.string(), v.minLength(1))),
  edgeUrl: v.optional(v.pipe(v.string(), v.url())),
});
export type Announcement = v.InferOutput<typeof Announcement>;

const fileIn = (stateFolder: string): string => path.join(stateFolder, "stack.json");

export async function announce(stateFolder: string, announcement: Announcement): Promise<void> {
  const file = fileIn(stateFolder);
  const draft = `${file}.${announcement.pid}`;
  await rm(draft, { force: true });
  await writeFile(draft, JSON.stringify(announcement), { mode: 0o600 });
  await rename(draft, file);
}

export async function withdraw(stateFolder: string): Promise<void> {
  await rm(fileIn(stateFolder), { force: true });
}

/** @returns undefined when there is none, or none that makes sense */
export async function readAnnouncement(stateFolder: string): Promise<Announcement | undefined> {
  try {
    return v.parse(Announcement, JSON.parse(await readFile(fileIn(stateFolder), "utf8")));
  } catch {
    return undefined;
  }
}
