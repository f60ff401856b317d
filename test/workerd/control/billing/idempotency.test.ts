import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";

import {
  ANSWER_KEPT_MS,
  IdempotencyStore,
  MAX_ANSWER_BYTES,
  MAX_KEPT_BYTES,
  RUNNING_MS,
} from "../../../../src/billing/idempotency.ts";
import { NOON } from "../../../billing/support.ts";

interface Desk {
  readonly store: IdempotencyStore;
  readonly clock: { now: number };
  readonly sql: SqlStorage;
  reopen(): IdempotencyStore;
}

const withStore = (work: (desk: Desk) => void): Promise<void> =>
  runInDurableObject(env.AUDIT_LOG.get(env.AUDIT_LOG.newUniqueId()), (_, { storage }) => {
    const clock = { now: NOON };
    let tokens = 0;
    const reopen = () =>
      new IdempotencyStore(
        storage,
        () => clock.now,
        () => `t${++tokens}`,
      );
    work({ store: reopen(), clock, sql: storage.sql, reopen });
  });

const answerOf = (body: Uint8Array | string) => ({
  status: 200,
  headers: { "content-type": "application/json" },
  body: typeof body === "string" ? new TextEncoder().encode(body) : body,
});

const TOO_LONG = answerOf(new Uint8Array(MAX_ANSWER_BYTES + 1));

const newAs = (token: string, begunAt = NOON) => ({ state: "new", token, begunAt });

describe("the first answer to an Idempotency-Key", () => {
  it("is given again to the same body, and to no other, after a restart too", () =>
    withStore(({ store, reopen }) => {
      expect(store.begin("k", "a")).toEqual(newAs("t1"));
      expect(store.begin("k", "a")).toEqual({ state: "running" });
      expect(store.begin("k", "b")).toEqual({ state: "other_body" });
      store.finish("k", "t1", answerOf("first"));
      store.finish("k", "t1", answerOf("second"));
      expect(reopen().begin("k", "a")).toEqual({ state: "done", ...answerOf("first") });
      expect(reopen().begin("k", "b")).toEqual({ state: "other_body" });
      expect(store.begin("other", "b")).toEqual(newAs("t2"));
    }));

  it.each([0, 1, 1024 * 1024, 1024 * 1024 + 1, MAX_ANSWER_BYTES])(
    "has all of its %d bytes",
    (length) =>
      withStore(({ store }) => {
        const body = new Uint8Array(length).map((_, index) => index * 31);
        store.begin("k", "a");
        // A view of more must not be kept as a whole.
        const padded = new Uint8Array(length + 2);
        padded.set(body, 1);
        store.finish("k", "t1", answerOf(padded.subarray(1, length + 1)));
        const begun = store.begin("k", "a");
        expect(begun.state === "done" && Buffer.from(begun.body).equals(body)).toBe(true);
      }),
  );

  it("is not kept when it is too long, but its key stays with its body", () =>
    withStore(({ store, sql, clock }) => {
      store.begin("k", "a");
      store.finish("k", "t1", TOO_LONG);
      clock.now += 1_000;
      expect(store.begin("k", "b")).toEqual({ state: "other_body" });
      expect(store.begin("k", "a")).toEqual(newAs("t2"));
      expect(store.begin("k", "a")).toEqual({ state: "running" });
      store.finish("k", "t2");
      expect(store.begin("k", "b")).toEqual({ state: "other_body" });
      expect(sql.exec("SELECT * FROM idempotency_parts").toArray()).toEqual([]);
    }));

  it("is not kept of a request that failed, which may come again with another body", () =>
    withStore(({ store }) => {
      store.begin("failed", "a");
      store.finish("failed", "t1");
      expect(store.begin("failed", "b")).toEqual(newAs("t2"));
    }));

  it("is not waited for when the request was lost with its isolate, which may have been billed", () =>
    withStore(({ store, clock }) => {
      store.begin("k", "a");
      clock.now += RUNNING_MS - 1;
      expect(store.begin("k", "a")).toEqual({ state: "running" });
      clock.now += 1;
      expect(store.begin("k", "b")).toEqual({ state: "other_body" });
      expect(store.begin("k", "a")).toEqual(newAs("t2"));
      expect(store.begin("k", "a")).toEqual({ state: "running" });
      store.finish("k", "t2");
      expect(store.begin("k", "b")).toEqual({ state: "other_body" });
    }));

  it("is that of the last to begin: who was given up is not heard any more", () =>
    withStore(({ store, clock }) => {
      store.begin("k", "a");
      clock.now += RUNNING_MS;
      store.begin("k", "a");
      store.finish("k", "t1", answerOf("late"));
      store.finish("k", "t1");
      expect(store.begin("k", "a")).toEqual({ state: "running" });
      store.finish("k", "t2", answerOf("second"));
      store.finish("k", "t1", answerOf("late"));
      expect(store.begin("k", "a")).toEqual({ state: "done", ...answerOf("second") });
    }));

  it("is forgotten a day after the first request began, with its body", () =>
    withStore(({ store, clock, sql }) => {
      store.begin("k", "a");
      clock.now += RUNNING_MS;
      store.begin("k", "a");
      store.finish("k", "t2", answerOf("second"));
      expect(store.nextAt()).toBe(NOON + ANSWER_KEPT_MS);
      clock.now = NOON + ANSWER_KEPT_MS - 1;
      store.forgetExpired();
      expect(store.begin("k", "a").state).toBe("done");
      clock.now += 1;
      expect(store.begin("k", "b")).toEqual(newAs("t3", clock.now));
      clock.now += ANSWER_KEPT_MS;
      store.forgetExpired();
      expect(store.nextAt()).toBeUndefined();
      expect(sql.exec("SELECT * FROM idempotency_parts").toArray()).toEqual([]);
    }));

  it("makes room for newer ones where an account keeps too much, and its key stays", () =>
    withStore(({ store, clock, sql }) => {
      const most = answerOf(new Uint8Array(MAX_ANSWER_BYTES));
      const count = MAX_KEPT_BYTES / MAX_ANSWER_BYTES;
      for (let index = 0; index <= count; index++) {
        const begun = store.begin(`k${index}`, "a");
        store.finish(`k${index}`, begun.state === "new" ? begun.token : "", most);
        clock.now += 1;
      }
      expect(store.begin("k0", "b")).toEqual({ state: "other_body" });
      expect(store.begin("k0", "a")).toMatchObject({ state: "new", begunAt: NOON });
      expect(store.begin("k1", "a").state).toBe("done");
      const { kept } = sql
        .exec<{ kept: number }>("SELECT SUM(LENGTH(bytes)) AS kept FROM idempotency_parts")
        .one();
      expect(kept).toBe(MAX_KEPT_BYTES);
    }));

  it("of a request that nobody began is not kept", () =>
    withStore(({ store }) => {
      store.finish("k", "t1", answerOf("stray"));
      expect(store.begin("k", "a")).toEqual(newAs("t1"));
    }));
});
