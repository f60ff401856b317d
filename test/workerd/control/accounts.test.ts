import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";

import { accountKey, newId } from "../../../src/accounts/account.ts";
import { accountMark } from "../../../src/control/accounts/publication.ts";
import { reconcile } from "../../../src/control/reconcile.ts";
import { contextOf } from "../../../workers/control/index.ts";
import { ADA, ANY, CREATE, ledgerOf, newAccount } from "../../support/accounts.ts";
import { controlOf, publishModels } from "../../support/control.ts";

const control = controlOf();
const { ask, get } = control;

const STRIPE = {
  kind: "stripe",
  secretRef: "EXPORT_STRIPE_KEY",
  eventName: "requests",
  customer: "cus_1",
};

beforeAll(() => publishModels({ m: [1] }));

describe("accounts", () => {
  it("are made, changed, listed and shown to the edge", async () => {
    const made = await ask("POST", "/v1/accounts", { body: ADA, headers: CREATE });
    expect(made).toMatchObject({
      status: 201,
      json: { ...ADA, currency: "USD", status: "active", limits: {}, exports: [] },
    });
    const { id } = made.json as { id: string };
    const seen = await get(`/v1/accounts/${id}`);
    expect(seen.etag).toBe(made.etag);
    const next = { ...(seen.json as object), limits: { dayNano: 5 } };
    const put = await ask("PUT", `/v1/accounts/${id}`, {
      body: next,
      headers: { "if-match": seen.etag },
    });
    expect(put).toMatchObject({ status: 200, json: { id, limits: { dayNano: 5 } } });
    expect(put.etag).toBe((await get(`/v1/accounts/${id}`)).etag);
    expect(await env.KEYS.get(accountKey(id), "json")).toEqual({
      ...ADA,
      id,
      currency: "USD",
      status: "active",
      limits: { dayNano: 5 },
    });
    expect((await get("/v1/accounts")).json).toContainEqual(put.json);
    expect((await get(`/v1/accounts?after=${id}`)).json).not.toContainEqual(put.json);
    const { json } = await get("/v1/audit?limit=50");
    const told = (json as { target: string }[]).filter(({ target }) => target.endsWith(id));
    expect(told).toMatchObject([
      { action: "account.put", target: `accounts/${id}`, after: { limits: { dayNano: 5 } } },
      { action: "account.create", target: `accounts/${id}`, before: null },
    ]);
  });

  it("are made once under an id of the caller's own", async () => {
    const body = { ...ADA, id: newId("acc_") };
    const both = await Promise.all(
      [1, 2].map(() => ask("POST", "/v1/accounts", { body, headers: CREATE })),
    );
    expect(both.map(({ status }) => status).toSorted()).toEqual([201, 412]);
  });

  it("keep what the first of two operators set", async () => {
    const id = await newAccount(control);
    const { etag } = await get(`/v1/accounts/${id}`);
    const put = (name: string) =>
      ask("PUT", `/v1/accounts/${id}`, { body: { ...ADA, name }, headers: { "if-match": etag } });
    const both = await Promise.all([put("first"), put("second")]);
    expect(both.map(({ status }) => status).toSorted()).toEqual([200, 412]);
    const kept = (await get(`/v1/accounts/${id}`)).json as { name: string };
    expect(kept).toEqual(both.find(({ status }) => status === 200)?.json);
    expect(await env.KEYS.get(accountKey(id), "json")).toMatchObject({ name: kept.name });
  });

  it("can be tried without being changed", async () => {
    const id = newId("acc_");
    const body = { ...ADA, id };
    const tried = await ask("POST", "/v1/accounts?dry-run=true", { body, headers: CREATE });
    expect(tried.json).toMatchObject({ id, dryRun: true });
    expect((await get(`/v1/accounts/${id}`)).status).toBe(404);
    expect(await env.KEYS.get(accountKey(id))).toBeNull();
  });

  it.each<[string, object, object]>([
    ["no name", { name: "" }, { status: 400, field: "name" }],
    ["another currency", { currency: "EUR" }, { status: 400, field: "currency" }],
    ["a fraction of money", { limits: { dayNano: 0.5 } }, { status: 400 }],
    ["an unknown field", { colour: 1 }, { status: 400, field: "colour" }],
    ["the same export twice", { exports: [STRIPE, STRIPE] }, { status: 400, field: "exports" }],
    [
      "a secret that is not for exports",
      { exports: [{ ...STRIPE, secretRef: "ADMIN_TOKEN" }] },
      { status: 400 },
    ],
    [
      "Stripe's key for another server",
      { exports: [{ ...STRIPE, origin: "https://evil.example" }] },
      { status: 422, field: "exports[0]" },
    ],
    [
      "a collector at a private address",
      { exports: [{ kind: "cloudevents", url: "https://127.0.0.1/events" }] },
      { status: 422, code: "invalid_change" },
    ],
    [
      "a collector without TLS",
      { exports: [{ kind: "cloudevents", url: "http://collector.example/" }] },
      { status: 422 },
    ],
  ])("refuse %s", async (_, more, problem) => {
    const { json } = await ask("POST", "/v1/accounts", {
      body: { ...ADA, ...more },
      headers: CREATE,
    });
    expect(json).toMatchObject(problem);
  });

  it("take exports to private addresses where those are allowed", async () => {
    const local = controlOf({ allowPrivateExports: true });
    const exports = [{ kind: "cloudevents", url: "http://127.0.0.1:9/" }];
    const body = { ...ADA, exports };
    const made = await local.ask("POST", "/v1/accounts", { body, headers: CREATE });
    expect(made).toMatchObject({ status: 201, json: { exports: [{ batch: 100 }] } });
    const { id } = made.json as { id: string };
    expect(await env.KEYS.get(accountKey(id))).not.toContain("127.0.0.1");
  });

  it.each([
    ["GET", "", undefined],
    ["PUT", "", ADA],
    ["GET", "/keys", undefined],
    ["GET", "/balance", undefined],
    ["GET", "/usage", undefined],
    ["GET", "/statement", undefined],
    ["POST", "/verify", undefined],
    ["POST", "/outbox/replay", {}],
    ["POST", "/keys", { name: "k" }],
    ["POST", "/credits", { id: "1", amountNano: 1 }],
  ])("that are not there answer 404 to %s %s", async (method, path, body) => {
    for (const id of [newId("acc_"), "acc_1", "..%2Fx"]) {
      const headers = method === "PUT" ? ANY : CREATE;
      const { status } = await ask(method, `/v1/accounts/${id}${path}`, {
        headers,
        ...(body && { body }),
      });
      expect(status).toBe(404);
    }
  });

  it("are shown to nobody but the operator", async () => {
    const id = await newAccount(control);
    for (const path of ["", "/keys", "/balance", "/usage", "/statement", "/outbox"]) {
      expect((await control.send(`/v1/accounts/${id}${path}`)).status).toBe(401);
    }
  });
});

describe("what the edge reads", () => {
  it("comes back when the namespace or the list has lost it", async () => {
    const id = await newAccount(control);
    await ask("POST", `/v1/accounts/${id}/keys`, { body: { name: "k" }, headers: CREATE });
    const { keys } = await env.KEYS.list({ prefix: "key:" });
    const mine = (
      await Promise.all(keys.map(async ({ name }) => ({ name, text: await env.KEYS.get(name) })))
    ).find(({ text }) => text?.includes(id));
    await env.KEYS.delete(accountKey(id));
    await env.KEYS.put(mine?.name ?? "", "nonsense");
    await reconcile({ ...contextOf(env, "cron"), now: () => 0 });
    expect(await env.KEYS.get(accountKey(id), "json")).toMatchObject({ id });
    expect(await env.KEYS.get(mine?.name ?? "")).toBe(mine?.text);
    await env.MODELS.delete(accountMark(id));
    await ledgerOf(id).repair();
    expect((await get("/v1/accounts")).json).toContainEqual(expect.objectContaining({ id }));
  });

  it("follows a change that it could not be shown at once", async () => {
    const id = await newAccount(control);
    await runInDurableObject(ledgerOf(id), async (instance, { storage }) => {
      const broken = { put: () => Promise.reject(new Error("busy")) };
      Object.defineProperty(instance, "env", { value: { ...env, KEYS: broken } });
      const seen = await instance.account();
      if (seen === null) throw new Error("There is no account.");
      expect(await instance.replace(seen, { ...seen, status: "suspended" })).toBe(true);
      expect((await storage.getAlarm()) ?? Infinity).toBeLessThan(Date.now() + 5_000);
      expect(await env.KEYS.get(accountKey(id))).toContain('"active"');
      Object.defineProperty(instance, "env", { value: env });
      await instance.alarm();
    });
    expect(await env.KEYS.get(accountKey(id))).toContain('"suspended"');
  });
});
