import { randomUUID } from "node:crypto";
import { link, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import * as v from "valibot";

import { UserError } from "./user-error.ts";

/** Who has a state folder open. */
const Holder = v.object({
  pid: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  /** The command, as a person types it. */
  command: v.string(),
  /** Nobody else's, and never used again. */
  id: v.string(),
});
export type Holder = v.InferOutput<typeof Holder>;

export interface StateLock {
  release(): Promise<void>;
}

export type LockAttempt = { readonly lock: StateLock } | { readonly holder: Holder };

const LOCK_FILE = "lock";

/** How often a lock that is held is tried again. */
export const RETRY_MS = 100;

/**
 * Tries to become the only process that has the folder open: two that write to the same SQLite files make
 * each other's writes fail. The lock of a process that is gone counts for nothing.
 */
export async function tryLock(folder: string, command: string): Promise<LockAttempt> {
  await mkdir(folder, { recursive: true });
  const file = path.join(folder, LOCK_FILE);
  const mine: Holder = { pid: process.pid, command, id: randomUUID() };
  for (;;) {
    // A link, unlike a new file, is there with its content or not at all.
    if (await createWhole(file, mine)) {
      return { lock: { release: () => rm(file, { force: true }) } };
    }
    const holder = await readHolder(file);
    if (holder === undefined) continue;
    if (isRunning(holder.pid)) return { holder };
    await removeDead(file, holder, mine);
  }
}

/** The lock, once nobody else has it. @throws UserError naming who has it when that takes too long */
export async function lockState(
  folder: string,
  command: string,
  waitMs: number,
): Promise<StateLock> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const attempt = await tryLock(folder, command);
    if ("lock" in attempt) return attempt.lock;
    if (performance.now() >= deadline) throw inUse(folder, attempt.holder);
    await sleep(RETRY_MS);
  }
}

/** The command whose bridge others use while it holds the lock. */
export const START_COMMAND = "npm start";

/** Who has the folder open at this moment. */
export async function holderOf(folder: string): Promise<Holder | undefined> {
  const holder = await readHolder(path.join(folder, LOCK_FILE));
  return holder !== undefined && isRunning(holder.pid) ? holder : undefined;
}

/** For whoever waited in vain. */
export function inUse(folder: string, { pid, command }: Holder): UserError {
  return new UserError(
    `The local bucket is in use by \`${command}\` (process ${pid}), and only one process may open it. ` +
      `Run this again when that has ended. If it is no process of Nearside, remove ${path.join(folder, LOCK_FILE)}.`,
  );
}

/** For whoever came before `npm start` answers. */
export function gettingReady({ pid }: Holder): UserError {
  return new UserError(
    `\`${START_COMMAND}\` (process ${pid}) is still getting ready. Run this again when it answers.`,
  );
}

/** Removes everything in the folder but the lock, which whoever wipes holds. */
export async function wipeState(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.startsWith(LOCK_FILE)) continue;
    await rm(path.join(folder, name), { recursive: true, force: true });
  }
}

/**
 * Of all that find the same dead holder, one removes its lock; the lock that somebody takes right after is
 * another one and stays.
 */
async function removeDead(file: string, dead: Holder, mine: Holder): Promise<void> {
  const turn = `${file}.${dead.id}`;
  if (!(await createWhole(turn, mine))) {
    const other = await readHolder(turn);
    if (other !== undefined && !isRunning(other.pid)) await rm(turn, { force: true });
    await sleep(RETRY_MS);
    return;
  }
  try {
    if ((await readHolder(file))?.id === dead.id) await rm(file, { force: true });
  } finally {
    await rm(turn, { force: true });
  }
}

/** @returns false when the file is there already */
async function createWhole(file: string, content: Holder): Promise<boolean> {
  const draft = `${file}.draft.${randomUUID()}`;
  await writeFile(draft, JSON.stringify(content), { mode: 0o600 });
  try {
    await link(draft, file);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function readHolder(file: string): Promise<Holder | undefined> {
  try {
    return v.parse(Holder, JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new UserError(`${file} can't be read (${(error as Error).message}). Remove it.`);
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Somebody else's process can't be signalled, but is there.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
