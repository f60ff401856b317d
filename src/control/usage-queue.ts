import * as v from "valibot";

import { UsageEvent } from "../billing/usage-event.ts";
import type { Log } from "../telemetry/log.ts";
import type { ControlContext } from "./context.ts";

const MAX_RETRY_SECONDS = 60;

interface Counted {
  readonly message: Message;
  readonly event: UsageEvent;
}

/**
 * Hands what the edge tells of requests to the models' Durable Objects. What can't be counted now comes
 * again; what is no event can't get better, and ends among the dead letters with a word in the log.
 */
export async function consumeUsage(
  batch: Pick<MessageBatch, "messages">,
  { rolloutsOf, log }: Pick<ControlContext, "rolloutsOf" | "log">,
): Promise<void> {
  const valid = batch.messages.flatMap((message) => {
    const event = eventOf(message, log);
    return event === undefined ? [] : [{ message, event }];
  });
  const byModel = Map.groupBy(valid, ({ event }) => event.model);
  await Promise.all(
    [...byModel].map(async ([model, group]) => {
      try {
        await rolloutsOf(model).record(group.map(({ event }) => event));
        for (const { message } of group) message.ack();
      } catch (error) {
        log.error("usage_not_counted", error, { model, events: group.length });
        retry(group);
      }
    }),
  );
}

function eventOf(message: Message, log: Log): UsageEvent | undefined {
  const parsed = v.safeParse(UsageEvent, message.body);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  log.warn("usage_malformed", {
    message: message.id,
    field: v.getDotPath(issue) ?? "",
    problem: issue.message,
  });
  // Retried to its end it lies among the dead letters, where somebody can look at it.
  message.retry({ delaySeconds: MAX_RETRY_SECONDS });
  return undefined;
}

function retry(group: readonly Counted[]): void {
  for (const { message } of group) {
    message.retry({ delaySeconds: Math.min(2 ** message.attempts, MAX_RETRY_SECONDS) });
  }
}
