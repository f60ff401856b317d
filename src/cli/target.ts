import { setTimeout as sleep } from "node:timers/promises";

import type { PublishTarget } from "../publish/bucket.ts";
import { readAnnouncement } from "./bridge/announcement.ts";
import { answers, connectBridge } from "./bridge/client.ts";
import { stateFolderInUse } from "./state-folder.ts";
import {
  gettingReady,
  type Holder,
  inUse,
  RETRY_MS,
  START_COMMAND,
  tryLock,
} from "./state-lock.ts";
import type { UserError } from "./user-error.ts";

/** A bucket and namespace, for as long as a command runs. */
export interface Target extends PublishTarget {
  /** For a person: "the local bucket". */
  readonly where: string;
  close(): Promise<void>;
}

export interface TargetOptions {
  /** The account's bucket instead of the one of this machine. */
  readonly remote: boolean;
  readonly stateFolder?: string;
  /** How whoever has to wait is told who is before them. */
  readonly command?: string;
  /** How long to wait for another command that has the local bucket open. */
  readonly waitMs?: number;
}

const WAIT_MS = 10_000;

/**
 * The bucket that `npm start` serves, or with `remote` the account's. A running `npm start` is asked to
 * do the work; otherwise the files are opened by this process, and by no other at the same time.
 *
 * @throws UserError when somebody else has the local bucket open, or the account can't be used
 */
export async function openTarget(options: TargetOptions): Promise<Target> {
  const {
    remote,
    stateFolder = stateFolderInUse(),
    command = "nearside",
    waitMs = WAIT_MS,
  } = options;
  if (remote) return (await import("./remote-target.ts")).openRemoteTarget();
  const deadline = performance.now() + waitMs;
  for (;;) {
    const announcement = await readAnnouncement(stateFolder);
    if (announcement && (await answers(announcement))) {
      return {
        ...connectBridge(announcement),
        where: "the local bucket (`npm start` is running)",
        close: async () => {},
      };
    }
    const attempt = await tryLock(stateFolder, command);
    if ("lock" in attempt) {
      try {
        // Miniflare and wrangler take most of a second to load, and the bridge needs neither.
        const { openLocalStore } = await import("./local-store.ts");
        const { stop, ...store } = await openLocalStore(stateFolder);
        return {
          ...store,
          where: "the local bucket",
          async close() {
            try {
              await stop();
            } finally {
              await attempt.lock.release();
            }
          },
        };
      } catch (error) {
        await attempt.lock.release();
        throw error;
      }
    }
    if (performance.now() >= deadline) throw outOfReach(stateFolder, attempt.holder);
    await sleep(RETRY_MS);
  }
}

function outOfReach(stateFolder: string, holder: Holder): UserError {
  return holder.command === START_COMMAND ? gettingReady(holder) : inUse(stateFolder, holder);
}
