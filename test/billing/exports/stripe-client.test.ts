import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";

import { Stripe } from "stripe";
import { afterEach, describe, expect, it } from "vitest";

import {
  type StripeTarget,
  deliverToStripe,
  meterEventRequest,
} from "../../../src/billing/exports/stripe.ts";
import { type Outage, type StripeRules, stripeStandIn } from "../../support/stripe-stand-in.ts";
import { DAY, NOON, exportedEvent } from "../support.ts";

const KEY = "rk_test_1";
const servers: Server[] = [];

afterEach(async () => {
  await Promise.all(
    servers.splice(0).map((server) => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    }),
  );
});

/** The stand-in behind a socket, with Stripe's own client and our export on it. */
async function stripeOver(rules: Partial<StripeRules> = {}, retries = 0) {
  const standIn = stripeStandIn({ now: () => NOON, ...rules });
  const server = createServer((incoming, outgoing) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
      const headers = new Headers();
      for (const [name, value] of Object.entries(incoming.headers))
        headers.set(name, String(value));
      try {
        const answer = await standIn.handle(
          new Request(`http://127.0.0.1${incoming.url}`, {
            method: incoming.method ?? "GET",
            headers,
            ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
          }),
        );
        outgoing.writeHead(answer.status, Object.fromEntries(answer.headers));
        outgoing.end(await answer.text());
      } catch {
        incoming.socket.destroy();
      }
    })();
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const client = new Stripe(KEY, {
    host: "127.0.0.1",
    port,
    protocol: "http",
    maxNetworkRetries: retries,
    telemetry: false,
  });
  const target: StripeTarget = {
    origin: `http://127.0.0.1:${port}`,
    secretKey: KEY,
    customer: "cus_1",
    eventName: "requests",
    value: "requests",
  };
  const deliver = (event = exportedEvent({ id: "e-1" }), over: Partial<StripeTarget> = {}) =>
    deliverToStripe(
      { ...target, ...over },
      { seq: 1, target: "stripe", event, attempts: 0 },
      { fetch: (request) => fetch(request), now: NOON },
    );
  return { ...standIn, client, target, deliver };
}

const PARAMETERS = {
  event_name: "requests",
  identifier: "e-1",
  timestamp: NOON / 1_000,
  payload: { stripe_customer_id: "cus_1", value: "1" },
};

describe("an export and Stripe's own client", () => {
  it("send the same event", async () => {
    const { client, target, requests } = await stripeOver();
    await client.billing.meterEvents.create(PARAMETERS);
    const [theirs] = requests;
    const ours = meterEventRequest(target, exportedEvent({ id: "e-1" }));
    expect(ours?.method).toBe(theirs?.method);
    expect(new URL(ours?.url ?? "").pathname).toBe(new URL(theirs?.url ?? "").pathname);
    const form = async (request?: Request) =>
      [...new URLSearchParams(await request?.text())].toSorted(([a], [b]) => (a < b ? -1 : 1));
    expect(await form(ours)).toEqual(await form(theirs));
    for (const name of ["authorization", "content-type"]) {
      expect(ours?.headers.get(name)).toBe(theirs?.headers.get(name));
    }
    expect(theirs?.headers.get("stripe-version")).toMatch(/^\d{4}-\d{2}-\d{2}\.\w+$/);
    expect(ours?.headers.get("stripe-version")).toMatch(/^\d{4}-\d{2}-\d{2}\.\w+$/);
  });

  it("count an event once between them, whoever is first", async () => {
    const { client, deliver, counted } = await stripeOver();
    await client.billing.meterEvents.create(PARAMETERS);
    expect(await deliver()).toEqual({ kind: "delivered" });
    expect(await deliver(exportedEvent({ id: "e-2" }))).toEqual({ kind: "delivered" });
    const again = client.billing.meterEvents.create({ ...PARAMETERS, identifier: "e-2" });
    await expect(again).rejects.toBeInstanceOf(Stripe.errors.StripeInvalidRequestError);
    expect(counted.map(({ identifier }) => identifier)).toEqual(["e-1", "e-2"]);
  });

  it("count each event once through a day of outages", async () => {
    const outages: (Outage | undefined)[] = ["down", "lost", 503, undefined, 500, "lost"];
    let asked = 0;
    const { deliver, counted } = await stripeOver({
      outage: () => outages[asked++ % outages.length],
    });
    const events = Array.from({ length: 20 }, (_, index) => exportedEvent({ id: `e-${index}` }));
    let waiting = events;
    for (let round = 0; waiting.length > 0 && round < 20; round++) {
      const later: typeof events = [];
      for (const event of waiting) {
        const { kind } = await deliver(event);
        expect(kind).not.toBe("never");
        if (kind === "later") later.push(event);
      }
      waiting = later;
    }
    expect(counted.map(({ identifier }) => identifier).toSorted()).toEqual(
      events.map(({ id }) => id).toSorted(),
    );
  });

  it("get over a lost answer by different means, and both count once", async () => {
    const outages: Outage[] = ["lost", "lost"];
    const { client, deliver, counted, requests } = await stripeOver(
      { outage: () => outages.shift() },
      1,
    );
    await client.billing.meterEvents.create(PARAMETERS);
    expect(requests.length).toBe(2);
    expect(requests[1]?.headers.get("idempotency-key")).not.toBeNull();
    const event = exportedEvent({ id: "e-2" });
    outages.push("lost");
    expect(await deliver(event)).toMatchObject({ kind: "later" });
    expect(await deliver(event)).toEqual({ kind: "delivered" });
    expect(counted.length).toBe(2);
  });
});

describe("Stripe's refusals", () => {
  it.each<[string, Partial<StripeRules>, Partial<typeof PARAMETERS>, string, string]>([
    ["a wrong key", { secretKey: "rk_other" }, {}, "StripeAuthenticationError", "later"],
    ["too many requests", { rate: 0 }, {}, "StripeRateLimitError", "later"],
    ["an outage of its own", { outage: () => 500 }, {}, "StripeAPIError", "later"],
    ["no such meter", { meters: [] }, {}, "StripeInvalidRequestError", "never"],
    [
      "an event of the future",
      { now: () => NOON - 301_000 },
      {},
      "StripeInvalidRequestError",
      "never",
    ],
    [
      "an event of more than 35 days",
      { now: () => NOON + 35 * DAY + 1_000 },
      {},
      "StripeInvalidRequestError",
      "never",
    ],
  ])("of %s mean the same to both", async (_, rules, parameters, type, kind) => {
    const { client, deliver, counted } = await stripeOver(rules);
    const created = client.billing.meterEvents.create({ ...PARAMETERS, ...parameters });
    await expect(created).rejects.toMatchObject({ type });
    expect(await deliver()).toMatchObject({ kind });
    expect(counted).toEqual([]);
  });
});
