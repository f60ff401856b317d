import * as v from "valibot";

import { UsageEvent } from "../billing/usage-event.ts";
import type { Log } from "../telemetry/log.ts";
import { billUsage } from "./accounts/bill-usage.ts";
import type { ControlContext } from "./context.ts";
import { fileDead } from "./dead-usage.ts";

/** With the queue's 100 tries this goes on for 22 hours: an outage of the bucket or a ledger costs nothing. */
const MAX_RETRY_SECONDS = 15 * 60;

/** What became of one message; `never`: another try would end the same way. */
export type Counted =
  | { readonly kind: "counted" }
  | { readonly kind: "later" }
  | { readonly kind: "never"; readonly reason: string };

type Counting = Pick<ControlContext, "rolloutsOf" | "booksOf" | "store" | "log">;

interface Taken {
  readonly index: number;
  readonly event: UsageEvent;
}

/**
 * Counts what the edge tells of requests. What can't be counted now comes again; what is no event, or can't be
 * billed as it is, can't get better: it is filed among the dead at once, with a word in the log.
 */
export async function consumeUsage(
  batch: Pick<MessageBatch, "messages">,
  context: Counting & Pick<ControlContext, "deadUsage" | "now">,
): Promise<void> {
  const { messages } = batch;
  const counted = await countUsage(messages, context);
  await Promise.all(
    messages.map(async (message, index) => {
      const verdict = counted[index];
      if (verdict?.kind === "counted") return message.ack();
      if (verdict?.kind !== "never") return retry(message);
      try {
        await fileDead(context, message, verdict.reason);
        message.ack();
      } catch (error) {
        context.log.error("dead_usage_not_filed", error, { message: message.id });
        retry(message);
      }
    }),
  );
}

/**
 * Hands events to the ledgers of those who pay, then to the models' Durable Objects. Ledgers know every event that
 * they have billed, and rollouts those of the last hour: it does no harm to hand them over again. Statistics know
 * less, and may count twice what comes again (SqlVersionCounts).
 *
 * @returns what became of each, in their order
 */
export async function countUsage(
  messages: readonly Pick<Message, "id" | "body">[],
  context: Counting,
): Promise<readonly Counted[]> {
  const { rolloutsOf, log } = context;
  const counted: Counted[] = messages.map(() => ({ kind: "never", reason: "malformed" }));
  const valid = messages.flatMap((message, index): Taken[] => {
    const event = eventOf(message, log);
    return event === undefined ? [] : [{ index, event }];
  });
  const unbilled = await billUsage(
    valid.map(({ event }) => event),
    context,
  );
  const byModel = Map.groupBy(valid, ({ event }) => event.model);
  await Promise.all(
    [...byModel].map(async ([model, group]) => {
      let isCounted = true;
      try {
        const events = group.map(({ event }) => event);
        const unsettled = events.flatMap(({ id }) => (unbilled.has(id) ? [id] : []));
        await rolloutsOf(model).record(events, unsettled);
      } catch (error) {
        log.error("usage_not_counted", error, { model, events: group.length });
        isCounted = false;
      }
      for (const { index, event } of group) {
        const reason = isCounted ? unbilled.get(event.id) : "later";
        counted[index] = verdictOf(reason);
      }
    }),
  );
  return counted;
}

function verdictOf(reason: string | undefined): Counted {
  if (reason === undefined) return { kind: "counted" };
  return reason === "later" ? { kind: "later" } : { kind: "never", reason };
}

function eventOf({ id, body }: Pick<Message, "id" | "body">, log: Log): UsageEvent | undefined {
  const parsed = v.safeParse(UsageEvent, body);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  log.warn("usage_malformed", {
    message: id,
    field: v.getDotPath(issue) ?? "",
    problem: issue.message,
  });
  return undefined;
}

function retry(message: Message): void {
  message.retry({ delaySeconds: Math.min(2 ** message.attempts, MAX_RETRY_SECONDS) });
}
