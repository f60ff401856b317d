import * as v from "valibot";

import { DAY_MS } from "../periods.ts";
import type { ExportedEvent } from "../ledger/event.ts";
import type { Delivery, OutboxRow } from "../outbox.ts";
import { EXPORT_TIMEOUT_MS, type Fetch, attempt, isPassing, later } from "./http.ts";

/** One meter of Stripe's, and what it counts. */
export const StripeTarget = v.object({
  /** `https://api.stripe.com`, or a stand-in. */
  origin: v.pipe(v.string(), v.url()),
  /** A restricted key that may write meter events. */
  secretKey: v.string(),
  /** The customer that the account is at Stripe. */
  customer: v.string(),
  /** The meter's `event_name`. */
  eventName: v.pipe(v.string(), v.maxLength(100)),
  /**
   * `requests`, `amount` (nano-dollars that are charged: free units and volume discounts are off), or a unit
   * such as `tokens`: all of them, because what is free of them is for Stripe's own price to say.
   */
  value: v.string(),
});
export type StripeTarget = v.InferOutput<typeof StripeTarget>;

/** Stripe takes no older events, https://docs.stripe.com/api/billing/meter-event/create. */
const MAX_AGE_DAYS = 35;

const STRIPE_VERSION = "2025-03-31.basil";

const Failure = v.object({
  error: v.object({
    type: v.optional(v.string()),
    code: v.optional(v.string()),
    message: v.optional(v.string()),
  }),
});

/**
 * The request that reports an event; undefined when it has nothing that the meter counts.
 *
 * The identifier makes it count once. There is no Idempotency-Key on purpose: with one, Stripe answers a
 * retry with the failure that it remembers.
 */
export function meterEventRequest(target: StripeTarget, event: ExportedEvent): Request | undefined {
  const value = valueOf(target, event);
  if (value === 0) return undefined;
  const body = new URLSearchParams({
    event_name: target.eventName,
    identifier: event.id,
    timestamp: String(Math.floor(event.at / 1_000)),
    "payload[stripe_customer_id]": target.customer,
    "payload[value]": String(value),
  });
  return new Request(new URL("/v1/billing/meter_events", target.origin), {
    method: "POST",
    headers: {
      authorization: `Bearer ${target.secretKey}`,
      "stripe-version": STRIPE_VERSION,
      "content-type": "application/x-www-form-urlencoded",
    },
    body: body.toString(),
    redirect: "manual",
    signal: AbortSignal.timeout(EXPORT_TIMEOUT_MS),
  });
}

/** What Stripe's answer means for the event. */
export async function interpretMeterEvent(response: Response): Promise<Delivery> {
  const text = await response.text().catch(() => "");
  if (response.ok) return { kind: "delivered" };
  const { type, code, message } = failureOf(text);
  // An earlier try had arrived, and its answer had not.
  if (code === "duplicate_meter_event" || /already exists with identifier/.test(message ?? "")) {
    return { kind: "delivered" };
  }
  const error = [response.status, type, code, message].filter(Boolean).join(" ");
  const isToRetry = response.headers.get("stripe-should-retry") === "true";
  if (isToRetry || isPassing(response.status)) return later(error, response);
  return { kind: "never", error };
}

/** Reports one event to Stripe. */
export async function deliverToStripe(
  target: StripeTarget,
  { event }: OutboxRow,
  { fetch, now }: { readonly fetch: Fetch; readonly now: number },
): Promise<Delivery> {
  const request = meterEventRequest(target, event);
  if (request === undefined) return { kind: "delivered" };
  if (now - event.at > MAX_AGE_DAYS * DAY_MS) {
    return { kind: "never", error: `The event is older than ${MAX_AGE_DAYS} days.` };
  }
  return attempt(request, fetch, interpretMeterEvent);
}

function valueOf({ value }: StripeTarget, { units, net }: ExportedEvent): number {
  if (value === "requests") return 1;
  if (value === "amount") return net;
  return units[value] ?? 0;
}

function failureOf(text: string): v.InferOutput<typeof Failure>["error"] {
  try {
    const parsed = v.safeParse(Failure, JSON.parse(text));
    return parsed.success ? parsed.output.error : {};
  } catch {
    return {};
  }
}
