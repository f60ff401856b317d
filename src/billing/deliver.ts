import { type Export, type ExportTarget, exportName, targetOf } from "./export-config.ts";
import { deliverCloudEvents } from "./exports/cloudevents.ts";
import type { Fetch } from "./exports/http.ts";
import { deliverToStripe } from "./exports/stripe.ts";
import type { Delivery, Outbox, OutboxRow } from "./outbox.ts";

/**
 * Rows that are taken at once. With the time limit of an export, even if all of them hang they are settled
 * before their claim ends, so nobody sends them a second time meanwhile.
 */
const TAKEN = 40;
const STRIPE_PARALLEL = 10;

/** Stripe takes one event a request; this is about what one alarm has time for. */
const MAX_ROUNDS = 25;

export interface Deliverer {
  readonly exports: readonly Export[];
  secretOf(name: string): string | undefined;
  readonly fetch: Fetch;
  now(): number;
}

/** Sends what is due of an outbox to where it shall go, and notes what became of it. */
export async function deliverDue(
  sql: SqlStorage,
  outbox: Outbox,
  deliverer: Deliverer,
): Promise<void> {
  const exports = new Map(deliverer.exports.map((one) => [exportName(one), one]));
  // Those too that the account has no more.
  const names = sql
    .exec<{ target: string }>("SELECT DISTINCT target FROM outbox WHERE dead = 0")
    .toArray()
    .map(({ target }) => target);
  await Promise.all(names.map((name) => deliverTo(outbox, name, exports.get(name), deliverer)));
}

async function deliverTo(
  outbox: Outbox,
  name: string,
  one: Export | undefined,
  deliverer: Deliverer,
): Promise<void> {
  const target = one && targetOf(one, deliverer.secretOf);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const limit = target?.kind === "cloudevents" ? target.batch : TAKEN;
    const rows = outbox.take(name, limit, deliverer.now());
    if (rows.length === 0) return;
    const deliveries =
      target === undefined ? rows.map(() => unsent(one)) : await send(target, rows, deliverer);
    for (const [index, { seq }] of rows.entries()) {
      const delivery = deliveries[index];
      if (delivery !== undefined) outbox.settle(seq, delivery, deliverer.now());
    }
    // Whoever is down is not asked again at once.
    if (deliveries.every(({ kind }) => kind === "later")) return;
  }
}

function unsent(one: Export | undefined): Delivery {
  return one === undefined
    ? { kind: "never", error: "The account has no such export any more." }
    : { kind: "later", error: `The secret ${one.secretRef} is not set.` };
}

async function send(
  target: ExportTarget,
  rows: readonly OutboxRow[],
  { fetch, now }: Deliverer,
): Promise<readonly Delivery[]> {
  if (target.kind === "cloudevents") return deliverCloudEvents(target.target, rows, fetch);
  const deliveries: Delivery[] = [];
  for (let from = 0; from < rows.length; from += STRIPE_PARALLEL) {
    const some = rows.slice(from, from + STRIPE_PARALLEL);
    const sent = some.map((row) => deliverToStripe(target.target, row, { fetch, now: now() }));
    deliveries.push(...(await Promise.all(sent)));
  }
  return deliveries;
}
