import * as v from "valibot";

import type { ExportedEvent } from "../ledger/event.ts";
import type { Delivery, OutboxRow } from "../outbox.ts";
import { EXPORT_TIMEOUT_MS, type Fetch, attempt, isPassing, later } from "./http.ts";

/** A collector of CloudEvents, such as OpenMeter. */
export const CloudEventsTarget = v.object({
  /** `https://openmeter.cloud/api/v1/events` */
  url: v.pipe(v.string(), v.url()),
  token: v.optional(v.string()),
  /** Who speaks; with the id it names an event in all the world: `https://inference.example.com`. */
  source: v.pipe(v.string(), v.minLength(1)),
});
export type CloudEventsTarget = v.InferOutput<typeof CloudEventsTarget>;

export const CLOUD_EVENT_TYPE = "nearside.request";

/** CloudEvents 1.0. */
export interface CloudEvent {
  readonly specversion: "1.0";
  readonly id: string;
  readonly source: string;
  readonly type: string;
  /** The account. */
  readonly subject: string;
  readonly time: string;
  readonly datacontenttype: "application/json";
  readonly data: Readonly<Record<string, string | number>>;
}

/**
 * What a collector is told of an event. `amount_nano_usd` is what is charged, 0 for one that is wholly free;
 * a retry that its Idempotency-Key had billed before is not told at all. Collectors know it again by source and
 * id.
 */
export function cloudEventOf({ source }: CloudEventsTarget, event: ExportedEvent): CloudEvent {
  const { id, at, requestId, model, version, placement, variant, units, billing, net } = event;
  return {
    specversion: "1.0",
    id,
    source,
    type: CLOUD_EVENT_TYPE,
    subject: billing.account,
    time: new Date(at).toISOString(),
    datacontenttype: "application/json",
    data: {
      ...units,
      request_id: requestId,
      model,
      version,
      placement,
      ...(variant !== undefined && { variant }),
      key: billing.key,
      price: billing.price,
      requests: 1,
      amount_nano_usd: net,
      list_amount_nano_usd: billing.amount,
    },
  };
}

/** One request with all of them (batched content mode of the HTTP binding, §3.3). */
export function cloudEventsRequest(
  target: CloudEventsTarget,
  events: readonly ExportedEvent[],
): Request {
  return new Request(target.url, {
    method: "POST",
    headers: {
      "content-type": "application/cloudevents-batch+json; charset=utf-8",
      ...(target.token !== undefined && { authorization: `Bearer ${target.token}` }),
    },
    body: JSON.stringify(events.map((event) => cloudEventOf(target, event))),
    redirect: "manual",
    signal: AbortSignal.timeout(EXPORT_TIMEOUT_MS),
  });
}

export async function interpretCloudEvents(response: Response): Promise<Delivery> {
  await response.body?.cancel();
  if (response.ok) return { kind: "delivered" };
  const error = `The collector answered ${response.status}.`;
  return isPassing(response.status) ? later(error, response) : { kind: "never", error };
}

/**
 * Sends rows as one batch. A collector that refuses it as a whole gets them one by one, so that one event
 * that is no good does not take the others with it.
 *
 * @returns what became of each, in their order
 */
export async function deliverCloudEvents(
  target: CloudEventsTarget,
  rows: readonly OutboxRow[],
  fetch: Fetch,
): Promise<Delivery[]> {
  if (rows.length === 0) return [];
  const events = rows.map(({ event }) => event);
  const delivery = await attempt(cloudEventsRequest(target, events), fetch, interpretCloudEvents);
  if (delivery.kind !== "never" || rows.length === 1) return rows.map(() => delivery);
  const deliveries: Delivery[] = [];
  for (const row of rows) deliveries.push(...(await deliverCloudEvents(target, [row], fetch)));
  return deliveries;
}
