import * as v from "valibot";

import { dayOf } from "../billing/periods.ts";
import type { ControlContext } from "./context.ts";

/** Where the queue `usage` puts what it has tried to its end. */
export const DEAD_QUEUE = "usage-dead";

const PREFIX = "dead/";

/** A message that could not be counted: in `dead/<day>/<id>.json` of the bucket, until it is replayed. */
export const DeadUsage = v.object({
  id: v.string(),
  /** When it was put aside. */
  at: v.string(),
  reason: v.string(),
  body: v.unknown(),
});
export type DeadUsage = v.InferOutput<typeof DeadUsage>;

export interface FiledUsage {
  readonly key: string;
  readonly dead: DeadUsage;
}

type Bucket = ControlContext["deadUsage"];

/** Puts a message aside. The same one twice is one file a day. */
export async function fileDead(
  { deadUsage, now }: Pick<ControlContext, "deadUsage" | "now">,
  { id, body }: Pick<Message, "id" | "body">,
  reason: string,
): Promise<void> {
  const at = now();
  const dead: DeadUsage = { id, at: new Date(at).toISOString(), reason, body };
  const key = `${PREFIX}${dayOf(at)}/${encodeURIComponent(id)}.json`;
  await deadUsage.put(key, JSON.stringify(dead));
}

/** Files what the queue gives up, so that nothing that is billed is ever only in a queue's memory. */
export async function consumeDead(
  batch: Pick<MessageBatch, "messages">,
  context: Pick<ControlContext, "deadUsage" | "now" | "log">,
): Promise<void> {
  await Promise.all(
    batch.messages.map(async (message) => {
      try {
        await fileDead(context, message, "retries_exhausted");
        message.ack();
      } catch (error) {
        context.log.error("dead_usage_not_filed", error, { message: message.id });
        message.retry();
      }
    }),
  );
}

/** The oldest that were put aside, of all days or of one. */
export async function listDead(
  bucket: Bucket,
  { day = "", limit }: { readonly day?: string | undefined; readonly limit: number },
): Promise<{ readonly files: readonly FiledUsage[]; readonly isWhole: boolean }> {
  const listed = await bucket.list({ prefix: `${PREFIX}${day}`, limit });
  const files = await Promise.all(
    listed.objects.map(async ({ key }): Promise<FiledUsage[]> => {
      const object = await bucket.get(key);
      const dead = object && v.safeParse(DeadUsage, await object.json().catch(() => undefined));
      return dead?.success ? [{ key, dead: dead.output }] : [];
    }),
  );
  return { files: files.flat(), isWhole: !listed.truncated };
}
