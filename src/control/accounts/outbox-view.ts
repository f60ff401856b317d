import type { Outbox } from "../../billing/outbox.ts";
import type { OutboxView } from "./account-books.ts";

/** What waits in an outbox, and the oldest of what is dead. */
export function viewOutbox(sql: SqlStorage, outbox: Outbox, limit: number): OutboxView {
  const { waiting } = sql
    .exec<{ waiting: number }>("SELECT COUNT(*) AS waiting FROM outbox WHERE dead = 0")
    .one();
  const dead = outbox
    .dead(limit)
    .map(({ target, attempts, error, event }) => ({ target, attempts, error, event }));
  return { waiting, dead };
}

/** @returns how many dead letters are tried again, of one export or of all */
export function replayDead(
  sql: SqlStorage,
  outbox: Outbox,
  {
    target,
    dryRun,
    now,
  }: { readonly target: string | undefined; readonly dryRun: boolean; readonly now: number },
): number {
  const dead = sql
    .exec<{ target: string; count: number }>(
      "SELECT target, COUNT(*) AS count FROM outbox WHERE dead = 1 GROUP BY target",
    )
    .toArray()
    .filter((row) => target === undefined || row.target === target);
  if (!dryRun) for (const row of dead) outbox.replay(row.target, now);
  return dead.reduce((sum, { count }) => sum + count, 0);
}
