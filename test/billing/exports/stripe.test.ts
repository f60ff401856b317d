import { describe, expect, it } from "vitest";

import {
  type StripeTarget,
  deliverToStripe,
  interpretMeterEvent,
  meterEventRequest,
} from "../../../src/billing/exports/stripe.ts";
import type { ExportedEvent } from "../../../src/billing/ledger/event.ts";
import { DAY, NOON, exportedEvent } from "../support.ts";

const target: StripeTarget = {
  origin: "https://stripe.test",
  secretKey: "rk_test_1",
  customer: "cus_1",
  eventName: "tokens",
  value: "tokens",
};

const rowOf = (event: ExportedEvent) => ({ seq: 1, target: "stripe", event, attempts: 0 });

/** A stand-in that keeps to Stripe's published rules. */
function stripe({ now = NOON, outage = () => false as boolean | "after" } = {}) {
  const seen = new Map<string, string>();
  const failure = (status: number, error: object, headers = {}) =>
    Response.json({ error: { type: "invalid_request_error", ...error } }, { status, headers });
  const fetch = async (request: Request): Promise<Response> => {
    const down = outage();
    if (down === true) throw new TypeError("connection refused");
    if (request.headers.get("authorization") !== "Bearer rk_test_1") return failure(401, {});
    const form = new URLSearchParams(await request.text());
    const identifier = form.get("identifier") ?? "";
    const seconds = Number(form.get("timestamp"));
    if (now / 1_000 - seconds > 35 * 86_400)
      return failure(400, { code: "timestamp_too_far_in_past" });
    if (!/^\d+$/.test(form.get("payload[value]") ?? "")) return failure(400, {});
    if (seen.has(identifier)) {
      const message = `An event already exists with identifier ${identifier}.`;
      return failure(400, { message }, { "stripe-should-retry": "false" });
    }
    seen.set(identifier, form.get("payload[value]") ?? "");
    if (down === "after") throw new TypeError("connection reset");
    return Response.json({ object: "billing.meter_event", identifier });
  };
  return { fetch, seen };
}

describe("a meter event", () => {
  it("is what Stripe asks for", async () => {
    const event = exportedEvent({ id: "e-1", at: NOON + 999, units: { tokens: 25 } });
    const request = meterEventRequest(target, event);
    expect(request?.url).toBe("https://stripe.test/v1/billing/meter_events");
    expect(request?.method).toBe("POST");
    expect(request?.headers.get("authorization")).toBe("Bearer rk_test_1");
    expect(request?.headers.has("idempotency-key")).toBe(false);
    expect(Object.fromEntries(new URLSearchParams(await request?.text()))).toEqual({
      event_name: "tokens",
      identifier: "e-1",
      timestamp: String(NOON / 1_000),
      "payload[stripe_customer_id]": "cus_1",
      "payload[value]": "25",
    });
  });

  it.each([
    ["tokens", "10"],
    ["requests", "1"],
    ["amount", "130"],
  ])("counts %s", async (value, counted) => {
    const request = meterEventRequest({ ...target, value }, exportedEvent());
    expect(new URLSearchParams(await request?.text()).get("payload[value]")).toBe(counted);
  });

  it("counts what is charged, not the list price; one that is free is not sent", () => {
    const counted = (net: number) =>
      meterEventRequest({ ...target, value: "amount" }, { ...exportedEvent(), net });
    expect(counted(0)).toBeUndefined();
    return expect(counted(30)?.text()).resolves.toContain("payload%5Bvalue%5D=30");
  });

  it("is not sent where there is nothing to count", async () => {
    const { fetch, seen } = stripe();
    const row = rowOf(exportedEvent({ units: { items: 1 } }));
    expect(await deliverToStripe(target, row, { fetch, now: NOON })).toEqual({ kind: "delivered" });
    expect(seen.size).toBe(0);
  });

  it("counts once through outages before and after it has arrived", async () => {
    const outages: (boolean | "after")[] = [true, "after", true];
    const { fetch, seen } = stripe({ outage: () => outages.shift() ?? false });
    const row = rowOf(exportedEvent({ id: "e-1" }));
    const kinds: string[] = [];
    do kinds.push((await deliverToStripe(target, row, { fetch, now: NOON })).kind);
    while (kinds.at(-1) !== "delivered");
    expect(kinds).toEqual(["later", "later", "later", "delivered"]);
    expect([...seen]).toEqual([["e-1", "10"]]);
  });

  it("that is older than Stripe takes is not tried", async () => {
    const { fetch, seen } = stripe();
    const deliver = (at: number) =>
      deliverToStripe(target, rowOf(exportedEvent({ at })), { fetch, now: NOON });
    expect(await deliver(NOON - 35 * DAY - 1)).toMatchObject({ kind: "never" });
    expect(await deliver(NOON - 35 * DAY)).toEqual({ kind: "delivered" });
    expect(seen.size).toBe(1);
  });
});

describe("Stripe's answers", () => {
  const answer = (status: number, error: object = {}, headers: Record<string, string> = {}) =>
    interpretMeterEvent(Response.json({ error }, { status, headers }));

  it.each([401, 403, 409, 429, 500, 502, 503, 504])("%d may pass", async (status) => {
    expect(await answer(status, {}, { "stripe-should-retry": "false" })).toMatchObject({
      kind: "later",
    });
  });

  it.each([400, 402, 404])("%d will not pass, unless Stripe says so", async (status) => {
    expect(await answer(status, { code: "no_meter", message: "No such meter" })).toEqual({
      kind: "never",
      error: `${status} no_meter No such meter`,
    });
    expect(await answer(status, {}, { "stripe-should-retry": "true" })).toMatchObject({
      kind: "later",
    });
  });

  it.each([
    ["30", {}, 30],
    ["Tue, 24 Nov 2026 12:01:00 GMT", { date: "Tue, 24 Nov 2026 12:00:00 GMT" }, 60],
    ["Tue, 24 Nov 2026 12:01:00 GMT", {}, undefined],
    ["soon", {}, undefined],
  ])("are waited for as long as they ask: %s %j", async (after, headers, seconds) => {
    const delivery = await answer(429, {}, { "retry-after": after, ...headers });
    expect("retryAfterSeconds" in delivery ? delivery.retryAfterSeconds : undefined).toBe(seconds);
  });

  it.each([
    { code: "duplicate_meter_event" },
    { message: "An event already exists with identifier e-1." },
  ])("mean that it had arrived: %j", async (error) => {
    expect(await answer(400, error)).toEqual({ kind: "delivered" });
  });

  it("that are no JSON are read by their status", async () => {
    expect(await interpretMeterEvent(new Response("<html>", { status: 502 }))).toMatchObject({
      kind: "later",
    });
    expect(await interpretMeterEvent(new Response("[]", { status: 400 }))).toMatchObject({
      kind: "never",
    });
  });
});
