import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { generateKey } from "../../../../src/accounts/key.ts";
import { NANO_PER_DOLLAR } from "../../../../src/billing/money.ts";
import { TEST_REQUESTS_PER_DAY } from "../../../../src/protocol/test-quota.ts";
import { PATH, clockAt, codeOf, openEdge, putPaidModels, x } from "../../../support/paid-edge.ts";
import { payerOf } from "../../../support/payer.ts";

beforeAll(putPaidModels);

afterEach(() => {
  vi.restoreAllMocks();
});

const json = { "content-type": "application/json" };
const post = (headers: Record<string, string> = {}, body = x(1, 2)): RequestInit => ({
  method: "POST",
  headers: { ...json, ...headers },
  body,
});

describe("what looks like a key and is none", () => {
  it.each<[string, (key: string) => Record<string, string>]>([
    ["in quotes", (key) => ({ authorization: `Bearer "${key}"` })],
    ["in capitals", (key) => ({ authorization: `Bearer ${key.toUpperCase()}` })],
    ["without its first letter", (key) => ({ authorization: `Bearer ${key.slice(1)}` })],
    ["without its prefix", (key) => ({ "x-api-key": key.slice("nsk_live_".length) })],
    ["without its end", (key) => ({ authorization: `Bearer ${key.slice(0, -9)}` })],
    ["without a scheme", (key) => ({ authorization: key })],
    ["of a token that was cut", () => ({ authorization: "Bearer eyJhbGciOiJFZERTQSJ9.e30" })],
  ])("is refused where callers without a key are answered: %s", async (_, headersOf) => {
    const payer = await payerOf();
    const { send } = await openEdge(payer, undefined, { ANONYMOUS: "allowed" });
    const { key } = await payer.issue();
    expect((await send(PATH, post(headersOf(key)))).status).toBe(401);
    expect((await send(PATH, post({ authorization: "Bearer sk-unused" }))).status).toBe(200);
  });
});

describe("where callers without a key get what has no price", () => {
  const GRATIS = "/v2/models/gratis/infer";
  const unpriced = { ANONYMOUS: "unpriced", ADMIN_TOKEN: "the-operators-secret" };

  it("they are refused by models that have one, on all routes", async () => {
    const { send, events } = await openEdge(await payerOf(), undefined, unpriced);
    expect((await send(GRATIS, post())).status).toBe(200);
    const refused = await send(PATH, post());
    expect(await refused.clone().json()).toMatchObject({
      detail: expect.stringContaining('"linear" costs something'),
    });
    expect(await codeOf(refused)).toEqual([401, "key_missing"]);
    const chat = JSON.stringify({ model: "scribe", messages: [{ role: "user", content: "hi" }] });
    expect((await send("/v1/chat/completions", post({}, chat))).status).toBe(401);
    expect(events).toMatchObject([{ model: "gratis" }]);
  });

  it("a key pays, and the operator does not", async () => {
    const payer = await payerOf();
    await payer.credit(NANO_PER_DOLLAR);
    const { ask, send, events } = await openEdge(payer, undefined, unpriced);
    expect((await ask()).status).toBe(200);
    const operator = { authorization: "Bearer the-operators-secret" };
    expect((await send(PATH, post(operator))).status).toBe(200);
    expect(events.map((event) => "billing" in event)).toEqual([true, false]);
  });

  it("is what the variable must say: any other word refuses them", async () => {
    const { send } = await openEdge(await payerOf(), undefined, { ANONYMOUS: "Allowed" });
    expect((await send(GRATIS, post())).status).toBe(401);
  });
});

describe("a key for tests", () => {
  it("has a number of free requests a day of what costs something", async () => {
    const payer = await payerOf();
    const { key } = await payer.issue({ kind: "test" });
    const { ask, isolate } = await openEdge(payer, key);
    for (let asked = 1; asked < TEST_REQUESTS_PER_DAY; asked++) {
      isolate.tests.count(payer.account.id, Date.now());
    }
    expect((await ask()).status).toBe(200);
    expect(await codeOf(await ask())).toEqual([429, "limit_reached"]);
    expect((await ask(x(1, 2), {}, "/v2/models/gratis/infer")).status).toBe(200);
  });
});

describe("models", () => {
  it("are listed as far as the key may use them", async () => {
    const payer = await payerOf();
    const { send } = await openEdge(payer);
    const idsFor = async (models?: string[]) => {
      const { key } = await payer.issue({ scopes: ["models"], ...(models && { models }) });
      const headers = { authorization: `Bearer ${key}` };
      const { data } = await (
        await send("/v1/models", { headers })
      ).json<{ data: { id: string }[] }>();
      return data.map(({ id }) => id);
    };
    expect(await idsFor()).toEqual(["scribe"]);
    expect(await idsFor(["linear"])).toEqual([]);
  });

  it("tell whether they are ready to whoever may ask them", async () => {
    const { send, key } = await openEdge(await payerOf());
    const path = "/v2/models/linear/ready";
    expect((await send(path)).status).toBe(401);
    expect((await send(path, { headers: { authorization: `Bearer ${key}` } })).status).toBe(200);
  });
});

/** A limiter with so many requests left for each caller. */
function limiterOf(left: number) {
  const asked: string[] = [];
  const limit = async ({ key }: { key: string }) => ({
    success: asked.push(key) > 0 && asked.filter((each) => each === key).length <= left,
  });
  return { asked, RATE_LIMITER: { limit } };
}

describe("rate limits", () => {
  it("stop made-up keys of one network before they are looked up", async () => {
    clockAt();
    const { RATE_LIMITER } = limiterOf(2);
    const { send, calls } = await openEdge(await payerOf(), undefined, { RATE_LIMITER });
    const codes: unknown[] = [];
    for (let host = 1; host <= 5; host++) {
      const headers = {
        authorization: `Bearer ${generateKey("live")}`,
        "cf-connecting-ip": `2001:db8:1:2::${host}`,
      };
      codes.push(((await codeOf(await send(PATH, post(headers)))) as unknown[])[1]);
    }
    const unknown = "key_unknown";
    expect(codes).toEqual([unknown, unknown, unknown, "rate_limited", "rate_limited"]);
    expect(calls).toEqual(["KEYS.get", "KEYS.get", "KEYS.get"]);
  });

  it("of an address are not used up by keys that are good", async () => {
    clockAt();
    const payer = await payerOf();
    const { RATE_LIMITER, asked } = limiterOf(2);
    const { ask } = await openEdge(payer, undefined, { RATE_LIMITER });
    for (let keys = 0; keys < 5; keys++) {
      const headers = {
        authorization: `Bearer ${(await payer.issue()).key}`,
        "cf-connecting-ip": "192.0.2.7",
      };
      expect((await ask(x(1, 2), headers, "/v2/models/gratis/infer")).status).toBe(200);
    }
    expect(asked.filter((caller) => caller.startsWith("ip:"))).toEqual([]);
  });

  it("are of each user of a signer, and of each token that names none", async () => {
    clockAt();
    const payer = await payerOf();
    const { RATE_LIMITER, asked } = limiterOf(9);
    const { ask } = await openEdge(payer, undefined, { RATE_LIMITER });
    for (const token of [
      await payer.mint({ spendNano: 9_000, user: "u1" }),
      await payer.mint({ spendNano: 9_000, user: "u1" }),
      await payer.mint({ spendNano: 9_000, tokenId: "t1" }),
    ]) {
      await ask(x(1, 2), { authorization: `Bearer ${token}` }, "/v2/models/gratis/infer");
    }
    const signer = `${payer.account.id}/signer:ed`;
    expect(asked).toEqual([`${signer}/u1`, `${signer}/u1`, `${signer}/t1`]);
  });

  it.each(["/v1/usage", "/v1/models", "/v2/models/linear", "/v2/models/linear/ready"])(
    "hold for %s, too",
    async (path) => {
      clockAt();
      const payer = await payerOf();
      const { key } = await payer.issue({ scopes: ["usage", "models", "predict"] });
      const { RATE_LIMITER } = limiterOf(0);
      const { send } = await openEdge(payer, key, { RATE_LIMITER });
      const headers = { authorization: `Bearer ${key}` };
      expect((await send(path, { headers })).status).toBe(200);
      expect((await send(path, { headers })).status).toBe(429);
    },
  );
});
