import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";

import { type Deliverer, deliverDue } from "../../../../src/billing/deliver.ts";
import { type Export, exportName } from "../../../../src/billing/export-config.ts";
import type { CloudEvent } from "../../../../src/billing/exports/cloudevents.ts";
import { DAY, NOON, book, ledgerEvent, priceOf } from "../../../billing/support.ts";
import { PRICE, billedEvent, ledgerOf, newAccount } from "../../../support/accounts.ts";
import { controlOf } from "../../../support/control.ts";
import { type Outage, stripeStandIn } from "../../../support/stripe-stand-in.ts";
import { type Books, withBooks } from "./support.ts";

const STRIPE: Export = {
  kind: "stripe",
  secretRef: "EXPORT_STRIPE",
  eventName: "requests",
  customer: "cus_1",
  value: "requests",
};
const COLLECTOR_URL = "https://collector.example/events";
const COLLECTOR: Export = {
  kind: "cloudevents",
  url: COLLECTOR_URL,
  secretRef: "EXPORT_METER",
  batch: 10,
  source: "https://near.example",
};
const SECRETS: Readonly<Record<string, string>> = {
  EXPORT_STRIPE: "rk_test_1",
  EXPORT_METER: "om_1",
};
const exports = [STRIPE, COLLECTOR];
const price = priceOf();

/** Stripe and a collector of CloudEvents, which are away from time to time. */
function world(now: () => number, outage: () => Outage | undefined = () => undefined) {
  const stripe = stripeStandIn({ now, outage });
  const collected = new Map<string, CloudEvent>();
  const tokens = new Set<string | null>();
  const batches: number[] = [];
  const collect = async (request: Request): Promise<Response> => {
    const down = outage();
    if (down === "down") throw new TypeError("connection refused");
    tokens.add(request.headers.get("authorization"));
    if (typeof down === "number") return new Response(null, { status: down });
    const events = (await request.json()) as CloudEvent[];
    batches.push(events.length);
    // Collectors know an event again by its source and id (CloudEvents 1.0 §3.1.1).
    for (const event of events) collected.set(`${event.source} ${event.id}`, event);
    if (down === "lost") throw new TypeError("connection reset");
    return new Response(null, { status: 204 });
  };
  const fetch = (request: Request): Promise<Response> =>
    request.url === COLLECTOR_URL ? collect(request) : stripe.handle(request);
  return { fetch, stripe, collected, tokens, batches };
}

const deliver = ({ storage, clock }: Books, ledger: Books["ledger"], more: Partial<Deliverer>) =>
  deliverDue(storage.sql, ledger.outbox, {
    exports,
    secretOf: (name) => SECRETS[name],
    fetch: () => Promise.reject(new TypeError("away")),
    now: () => clock.now,
    ...more,
  });

const TERMS = { exports: exports.map(exportName) };
const eventsOf = (count: number) =>
  Array.from({ length: count }, (_, index) => ledgerEvent({ id: `e-${index}`, price }));
const idsOf = (events: readonly { id: string }[]) => events.map(({ id }) => id).toSorted();

describe("events on their way to others", () => {
  it("arrive once each, through outages and restarts", () =>
    withBooks(async (books) => {
      const { clock, reopen } = books;
      let asked = 0;
      const outages: (Outage | undefined)[] = [undefined, "down", "lost", 500, undefined, 503];
      const { fetch, stripe, collected } = world(
        () => clock.now,
        () => outages[asked++ % outages.length],
      );
      const events = eventsOf(60);
      let ledger = reopen();
      ledger.record(events.slice(0, 40), book(price));
      for (let round = 0; round < 40; round++) {
        if (round === 2) ledger.record([...events, ...events], book(price));
        const next = ledger.outbox.nextAt();
        if (next === undefined) break;
        clock.now = Math.max(clock.now, next);
        await deliver(books, ledger, { fetch });
        ledger = reopen();
      }
      expect(ledger.outbox.nextAt()).toBeUndefined();
      expect(ledger.outbox.dead(10)).toEqual([]);
      expect(clock.now - NOON).toBeLessThan(DAY);
      const ids = idsOf(events);
      expect(stripe.counted.map(({ identifier }) => identifier).toSorted()).toEqual(ids);
      expect(idsOf([...collected.values()])).toEqual(ids);
    }, TERMS));

  it("arrive once when whoever sent them died before hearing of it", () =>
    withBooks(async (books) => {
      const { ledger, clock, reopen } = books;
      const { fetch, stripe, collected } = world(() => clock.now);
      ledger.record(eventsOf(5), book(price));
      const silent = async (request: Request): Promise<Response> => {
        await fetch(request);
        return new Promise(() => undefined);
      };
      void deliver(books, ledger, { fetch: silent });
      await vi.waitFor(() => expect(stripe.counted.length + collected.size).toBe(10));
      const restarted = reopen();
      await deliver(books, restarted, { fetch });
      expect(stripe.requests.length).toBe(5);
      clock.now = restarted.outbox.nextAt() ?? 0;
      expect(clock.now).toBe(NOON + 60_000);
      await deliver(books, restarted, { fetch });
      expect(restarted.outbox.nextAt()).toBeUndefined();
      expect(stripe.counted.length).toBe(5);
      expect(collected.size).toBe(5);
    }, TERMS));

  it("go to a collector in batches, with its token", () =>
    withBooks(async (books) => {
      const { fetch, batches, tokens } = world(() => books.clock.now);
      books.ledger.record(eventsOf(25), book(price));
      await deliver(books, books.ledger, { fetch });
      expect(batches).toEqual([10, 10, 5]);
      expect([...tokens]).toEqual(["Bearer om_1"]);
    }, TERMS));

  it("wait for a secret that is not set yet, and for who is down, while others get theirs", () =>
    withBooks(async (books) => {
      const { ledger, clock } = books;
      const { fetch, stripe, collected } = world(() => clock.now);
      ledger.record(eventsOf(3), book(price));
      await deliver(books, ledger, {
        fetch,
        secretOf: (name) => (name === "EXPORT_METER" ? "om_1" : undefined),
      });
      expect(collected.size).toBe(3);
      expect(stripe.requests).toEqual([]);
      clock.now = ledger.outbox.nextAt() ?? 0;
      await deliver(books, ledger, { fetch });
      expect(stripe.counted.length).toBe(3);
    }, TERMS));

  it("of an export that is gone are dead letters, and never held against the others", () =>
    withBooks(async (books) => {
      const { ledger, clock } = books;
      const { fetch, stripe } = world(() => clock.now);
      ledger.record(eventsOf(2), book(price));
      await deliver(books, ledger, { fetch, exports: [STRIPE] });
      expect(stripe.counted.length).toBe(2);
      expect(ledger.outbox.nextAt()).toBeUndefined();
      expect(ledger.outbox.dead(9)).toMatchObject([{ target: exportName(COLLECTOR) }, {}]);
    }, TERMS));
});

describe("an account's alarm", () => {
  afterEach(() => void vi.restoreAllMocks());

  it("delivers what was recorded, and comes again when that fails", async () => {
    const account = await newAccount(controlOf(), { exports: [STRIPE] });
    let isDown = true;
    const stripe = stripeStandIn({
      now: () => Date.now(),
      outage: () => (isDown ? "down" : undefined),
    });
    vi.spyOn(globalThis, "fetch").mockImplementation((request) =>
      stripe.handle(request as Request),
    );
    await runInDurableObject(ledgerOf(account), async (instance, { storage }) => {
      Object.defineProperty(instance, "env", { value: { ...env, ...SECRETS } });
      await instance.record([billedEvent(account), billedEvent(account)], [PRICE]);
      expect(await storage.getAlarm()).not.toBeNull();
      await instance.alarm();
      expect(stripe.counted).toEqual([]);
      expect(await storage.getAlarm()).toBeGreaterThan(Date.now() - 1_000);
      isDown = false;
      storage.sql.exec("UPDATE outbox SET next = 0");
      await instance.alarm();
      expect(stripe.counted.length).toBe(2);
      expect((await instance.outbox(9)).waiting).toBe(0);
    });
  });
});
