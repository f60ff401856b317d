/** What an outage does to a request: nothing arrives, or it arrives and its answer does not. */
export type Outage = "down" | "lost" | 500 | 503;

export interface StripeRules {
  now(): number;
  readonly secretKey?: string;
  readonly meters?: readonly string[];
  /** Requests a second. */
  readonly rate?: number;
  outage?(): Outage | undefined;
}

interface Remembered {
  readonly at: number;
  readonly form: string;
  readonly status: number;
  readonly text: string;
}

const DAY_MS = 86_400_000;
const PARAMETERS = /^(event_name|identifier|timestamp|payload\[[a-z_]+\]|expand\[\d*\])$/;

/** The connection broke: an HTTP server closes it, a `fetch` throws. */
export class ConnectionLost extends TypeError {}

/**
 * Meter events as Stripe's reference describes them (https://docs.stripe.com/api/billing/meter-event/create):
 * identifiers are known again for 24 hours and no longer, events are at most 35 days old and 5 minutes early,
 * an Idempotency-Key brings back the first answer, failures too, and too many requests get 429.
 */
export function stripeStandIn({
  now,
  secretKey = "rk_test_1",
  meters = ["requests"],
  rate = Number.POSITIVE_INFINITY,
  outage,
}: StripeRules) {
  const counted: { identifier: string; customer: string; value: number }[] = [];
  const identifiers = new Map<string, number>();
  const remembered = new Map<string, Remembered>();
  const requests: Request[] = [];
  let second = { at: 0, requests: 0 };

  async function handle(request: Request): Promise<Response> {
    const down = outage?.();
    if (down === "down") throw new ConnectionLost("connection refused");
    requests.push(request.clone());
    if (request.headers.get("authorization") !== `Bearer ${secretKey}`) {
      return failure(401, { message: "Invalid API Key provided" });
    }
    const at = Math.floor(now() / 1_000);
    second = second.at === at ? { at, requests: second.requests + 1 } : { at, requests: 1 };
    if (second.requests > rate) {
      const error = { code: "rate_limit", message: "Request rate limit exceeded." };
      return failure(429, error, { "stripe-rate-limited-reason": "global-rate" });
    }
    const form = new TextDecoder().decode(await request.arrayBuffer());
    const key = request.headers.get("idempotency-key");
    const known = key === null ? undefined : remembered.get(key);
    if (known !== undefined && now() - known.at < DAY_MS) {
      if (known.form !== form) return failure(400, { type: "idempotency_error" });
      return new Response(known.text, {
        status: known.status,
        headers: { "content-type": "application/json", "idempotent-replayed": "true" },
      });
    }
    const answer =
      typeof down === "number" ? failure(down, { type: "api_error" }) : take(request, form);
    if (key !== null && answer.status !== 429) {
      const text = await answer.clone().text();
      remembered.set(key, { at: now(), form, status: answer.status, text });
    }
    if (down === "lost") throw new ConnectionLost("connection reset");
    return answer;
  }

  function take(request: Request, form: string): Response {
    const { pathname } = new URL(request.url);
    if (request.method !== "POST" || pathname !== "/v1/billing/meter_events") {
      return failure(404, {
        message: `Unrecognized request URL (${request.method}: ${pathname}).`,
      });
    }
    const fields = new Map(new URLSearchParams(form));
    const unknown = [...fields.keys()].find((name) => !PARAMETERS.test(name));
    if (unknown !== undefined) return failure(400, { code: "parameter_unknown", param: unknown });
    const name = fields.get("event_name");
    if (name === undefined) return failure(400, { code: "parameter_missing", param: "event_name" });
    if (!meters.includes(name)) {
      return failure(400, { code: "no_meter", message: `No meter found for ${name}.` });
    }
    const customer = fields.get("payload[stripe_customer_id]");
    const value = Number(fields.get("payload[value]"));
    if (customer === undefined || !Number.isSafeInteger(value)) {
      return failure(400, { code: "meter_event_invalid_value" });
    }
    const timestamp = Number(fields.get("timestamp") ?? Math.floor(now() / 1_000)) * 1_000;
    if (timestamp < now() - 35 * DAY_MS) return failure(400, { code: "timestamp_too_far_in_past" });
    if (timestamp > now() + 300_000) return failure(400, { code: "timestamp_in_future" });
    const identifier = fields.get("identifier") ?? crypto.randomUUID();
    const seen = identifiers.get(identifier);
    if (seen !== undefined && now() - seen < DAY_MS) {
      const message = `An event already exists with identifier ${identifier}.`;
      return failure(400, { message });
    }
    identifiers.set(identifier, now());
    counted.push({ identifier, customer, value });
    return Response.json({
      object: "billing.meter_event",
      created: Math.floor(now() / 1_000),
      event_name: name,
      identifier,
      livemode: false,
      payload: { stripe_customer_id: customer, value: String(value) },
      timestamp: timestamp / 1_000,
    });
  }

  return { handle, counted, requests };
}

function failure(status: number, error: object, headers: Record<string, string> = {}): Response {
  return Response.json(
    { error: { type: "invalid_request_error", ...error } },
    { status, headers: { "request-id": "req_1", ...headers } },
  );
}
