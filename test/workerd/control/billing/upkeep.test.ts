import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";

import { Upkeep, eventFileKey } from "../../../../src/control/accounts/upkeep.ts";
import { DAY, book, ledgerEvent, priceOf } from "../../../billing/support.ts";
import { withBooks } from "./support.ts";

const price = priceOf();

describe("an account's upkeep", () => {
  it("comes once a day, and puts old events into files of the bucket", () =>
    withBooks(async ({ ledger, storage, clock }) => {
      ledger.record(
        [ledgerEvent({ id: "a", price }), ledgerEvent({ id: "b", price })],
        book(price),
      );
      const upkeep = new Upkeep(storage.sql, ledger, env.MODELS, () => clock.now);
      const first = upkeep.nextAt();
      expect(first).toBeGreaterThan(clock.now);
      expect(first).toBeLessThanOrEqual(clock.now + DAY);
      clock.now += 40 * DAY;
      await upkeep.run();
      const stored = await env.MODELS.get("ledger/acc_a/2026-11-24/1-2.ndjson");
      const lines = (await stored?.text())?.trim().split("\n") ?? [];
      expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
        { id: "a", amount: 130 },
        { id: "b", amount: 130 },
      ]);
      expect(storage.sql.exec("SELECT * FROM events").toArray()).toEqual([]);
      expect(ledger.standing().balance).toBe(-260);
      expect(ledger.verify()).toEqual({ ok: true, problems: [] });
      expect(upkeep.nextAt()).toBeGreaterThan(clock.now);
    }));

  it("loses nothing when the bucket is away, or when it dies before it says so", () =>
    withBooks(async ({ ledger, storage, clock, reopen }) => {
      ledger.record([ledgerEvent({ price })], book(price));
      const now = () => clock.now;
      const away = { put: () => Promise.reject(new Error("away")) };
      const broken = new Upkeep(storage.sql, ledger, away as unknown as R2Bucket, now);
      broken.nextAt();
      clock.now += 40 * DAY;
      await expect(broken.run()).rejects.toThrow("away");
      expect(broken.nextAt()).toBe(clock.now + 600_000);
      clock.now = broken.nextAt();
      const file = ledger.nextFile();
      await env.MODELS.put(eventFileKey(file?.name ?? ""), file?.body ?? "");
      await new Upkeep(storage.sql, reopen(), env.MODELS, now).run();
      expect(ledger.nextFile()).toBeUndefined();
      expect(ledger.verify()).toEqual({ ok: true, problems: [] });
    }));

  it("files what could not be exported for 35 days, and keeps what is newer", () =>
    withBooks(
      async ({ ledger, storage, clock }) => {
        ledger.record([ledgerEvent({ id: "a", price })], book(price));
        const die = () => {
          for (const { seq } of ledger.outbox.take("stripe", 9, clock.now)) {
            ledger.outbox.settle(seq, { kind: "never", error: "no such customer" }, clock.now);
          }
        };
        die();
        clock.now += 20 * DAY;
        ledger.record([ledgerEvent({ id: "b", at: clock.now, price })], book(price));
        die();
        const upkeep = new Upkeep(storage.sql, ledger, env.MODELS, () => clock.now);
        upkeep.nextAt();
        clock.now += 20 * DAY;
        await upkeep.run();
        expect(ledger.outbox.dead(9)).toMatchObject([{ event: { id: "b" } }]);
        const stored = await env.MODELS.get("outbox/acc_a/2026-11-24/1-1.ndjson");
        expect(JSON.parse((await stored?.text()) ?? "")).toMatchObject({
          target: "stripe",
          event: { id: "a", net: 130 },
          error: "no such customer",
        });
      },
      { exports: ["stripe"] },
    ));

  it("does nothing before its time", () =>
    withBooks(async ({ ledger, storage, clock }) => {
      const upkeep = new Upkeep(storage.sql, ledger, env.MODELS, () => clock.now);
      const next = upkeep.nextAt();
      await upkeep.run();
      expect(upkeep.nextAt()).toBe(next);
    }));
});
