import * as v from "valibot";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { generateKey } from "../../../../src/accounts/key.ts";
import type { LedgerEvent } from "../../../../src/billing/ledger/event.ts";
import { NANO_PER_DOLLAR } from "../../../../src/billing/money.ts";
import { type ReceiptKeySet, checkReceipt, digestOf } from "../../../../src/billing/receipt.ts";
import { UsageEvent } from "../../../../src/billing/usage-event.ts";
import { book } from "../../../billing/support.ts";
import {
  COST,
  PATH,
  clockAt,
  codeOf,
  openEdge,
  price,
  putPaidModels,
  x,
} from "../../../support/paid-edge.ts";
import { type TestPayer, payerOf } from "../../../support/payer.ts";

beforeAll(putPaidModels);

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a caller", () => {
  it.each<[string, number, string, (payer: TestPayer) => Promise<string> | string]>([
    [
      "whose key was mistyped",
      401,
      "key_malformed",
      async (payer) => `${(await payer.issue()).key}x`,
    ],
    ["whose key nobody issued", 401, "key_unknown", () => generateKey("live")],
    [
      "whose key was revoked",
      401,
      "key_revoked",
      async (p) => (await p.issue({}, { revokedAt: 1 })).key,
    ],
    [
      "whose key has expired",
      401,
      "key_expired",
      async (p) => (await p.issue({ expiresAt: 1 })).key,
    ],
    [
      "whose key may only look",
      403,
      "key_scope",
      async (p) => (await p.issue({ scopes: ["models"] })).key,
    ],
    [
      "whose key is for another model",
      403,
      "model_not_allowed",
      async (p) => (await p.issue({ models: ["gather"] })).key,
    ],
    [
      "whose key is for a page",
      403,
      "origin_not_allowed",
      async (p) => (await p.issue({ origins: ["https://a.example"] })).key,
    ],
    [
      "whose token is forged",
      401,
      "token_invalid",
      async (p) => `${await p.mint({ spendNano: 1 })}x`,
    ],
    ["whose token is old", 401, "token_expired", (p) => p.mint({ spendNano: 1, lifeSeconds: -60 })],
  ])("%s is refused: %i %s", async (_, status, code, credential) => {
    const payer = await payerOf();
    const { ask, calls, events } = await openEdge(payer, await credential(payer));
    const response = await ask();
    expect(response.headers.get("www-authenticate")).toBe(
      status === 401 ? 'Bearer error="invalid_token"' : null,
    );
    expect(await codeOf(response)).toEqual([status, code]);
    expect(calls.filter((call) => !call.startsWith("KEYS"))).toEqual([]);
    expect(events).toEqual([]);
  });

  it("without a key is refused, in OpenAI's words on its routes", async () => {
    const { send } = await openEdge(await payerOf());
    const response = await send("/v1/models");
    expect([response.status, response.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
    expect(await response.json()).toMatchObject({
      error: { type: "authentication_error", code: "key_missing", param: "authorization" },
    });
    expect((await send("/v2/models/linear")).status).toBe(401);
    expect((await send("/v2/health/live")).status).toBe(200);
  });

  it("of a suspended account is refused", async () => {
    const { ask } = await openEdge(await payerOf({ status: "suspended" }));
    expect(await codeOf(await ask())).toEqual([403, "account_suspended"]);
  });

  it("hears that keys can't be looked up, and no more", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const get = () => Promise.reject(new Error("KV is down"));
    const KEYS = { get } as unknown as KVNamespace;
    const { ask } = await openEdge(await payerOf(), undefined, { KEYS });
    const response = await ask();
    expect(await codeOf(response)).toEqual([503, "keys_unavailable"]);
  });

  it("without a key is answered where that is allowed, and never billed", async () => {
    const payer = await payerOf();
    const { send, events, calls } = await openEdge(payer, undefined, { ANONYMOUS: "allowed" });
    for (const headers of [{}, { authorization: "Bearer sk-of-another-service" }]) {
      const json = { "content-type": "application/json", ...headers };
      const response = await send(PATH, { method: "POST", headers: json, body: x(1, 2) });
      expect(response.status).toBe(200);
      expect(response.headers.has("nearside-cost")).toBe(false);
      expect(response.headers.has("nearside-receipt")).toBe(false);
    }
    expect(events.map((event) => "billing" in event)).toEqual([false, false]);
    expect(calls.filter((call) => call.startsWith("LEDGERS"))).toEqual([]);
  });

  it("with a key for tests, or of a model without a price, is not billed", async () => {
    const payer = await payerOf();
    const { key } = await payer.issue({ kind: "test" });
    const { ask, events } = await openEdge(payer);
    const responses = [
      await ask(x(1, 2), { authorization: `Bearer ${key}` }),
      await ask(x(1, 2), {}, "/v2/models/gratis/infer"),
    ];
    for (const response of responses) {
      expect(response.headers.get("nearside-cost")).toBe("0 nano-usd");
      expect(response.headers.has("nearside-receipt")).toBe(false);
    }
    expect(events.some((event) => "billing" in event)).toBe(false);
  });

  it("may choose a version by header with a key of that scope alone", async () => {
    const payer = await payerOf();
    await payer.credit(NANO_PER_DOLLAR);
    const { key } = await payer.issue({ scopes: ["predict", "override"] });
    const { ask } = await openEdge(payer);
    const override = { "nearside-override": "2" };
    expect(await codeOf(await ask(x(1, 2), override))).toEqual([403, "override_forbidden"]);
    const allowed = await ask(x(1, 2), { ...override, authorization: `Bearer ${key}` });
    expect(allowed.headers.get("nearside-version")).toBe("2");
  });
});

describe("a paid request", () => {
  it("asks the directory and the ledger once, and then nobody", async () => {
    const payer = await payerOf();
    await payer.credit(NANO_PER_DOLLAR);
    const { ask, calls } = await openEdge(payer);
    const first = await ask();
    expect(first.headers.get("server-timing")).toContain("lease;dur=");
    expect(calls.filter((call) => !call.startsWith("MODELS"))).toEqual([
      "KEYS.get",
      "KEYS.get",
      "CATALOG.get",
      "LEDGERS.grant",
    ]);
    calls.length = 0;
    const second = await ask();
    expect([second.status, calls]).toEqual([200, []]);
    expect(second.headers.get("server-timing")).not.toContain("lease");
  });

  it("says its cost and has a receipt, which the ledger's event is the other half of", async () => {
    const payer = await payerOf();
    await payer.credit(NANO_PER_DOLLAR);
    const { ask, send, events } = await openEdge(payer);
    const response = await ask();
    expect(response.headers.get("nearside-cost")).toBe("112 nano-usd");
    expect(response.headers.get("x-litellm-response-cost")).toBe("0.000000112");

    const keys = await send("/.well-known/jwks.json");
    expect(keys.headers.get("content-type")).toBe("application/jwk-set+json");
    const keySet = await keys.json<ReceiptKeySet>();
    expect(JSON.stringify(keySet)).not.toContain('"d"');
    const jws = response.headers.get("nearside-receipt") ?? "";
    const checked = await checkReceipt(jws, keySet);
    const event = v.parse(UsageEvent, events[0]) as LedgerEvent;
    expect(checked).toMatchObject({
      ok: true,
      kid: "r1",
      receipt: {
        requestId: response.headers.get("x-request-id"),
        event: event.id,
        account: payer.account.id,
        model: "linear",
        version: 1,
        placement: "edge",
        units: { elements: 4 },
        price: price.id,
        amount: COST,
        requestDigest: await digestOf(x(1, 2, 3, 4)),
        responseDigest: await digestOf(await response.arrayBuffer()),
      },
    });
    expect(event.billing).toEqual({
      account: payer.account.id,
      key: expect.stringMatching(/^key_/),
      price: price.id,
      amount: COST,
      lease: expect.any(String),
      receipt: await digestOf(jws),
    });
    const recorded = await payer.books((ledger) => ledger.record([event, event], book(price)));
    expect(recorded).toEqual({ recorded: 1, duplicates: 1, refused: [] });
    const standing = await payer.books((ledger) => ledger.standing());
    expect(standing.balance).toBe(NANO_PER_DOLLAR - COST);
  });

  it("that fails costs nothing, and what was set aside for it is there for the next", async () => {
    const payer = await payerOf();
    await payer.credit(2 * COST);
    const { ask, events } = await openEdge(payer);
    const far = JSON.stringify({
      inputs: [{ name: "index", datatype: "INT64", shape: [4], data: [0, 0, 0, 99] }],
    });
    for (let time = 0; time < 5; time++) {
      const failed = await ask(far, {}, "/v2/models/gather/infer");
      expect(await codeOf(failed)).toEqual([422, "inference_failed"]);
      expect(failed.headers.has("nearside-cost")).toBe(false);
    }
    expect((await ask("{}")).status).toBe(400);
    expect((await ask()).status).toBe(200);
    const billed = events.filter((event) => "billing" in event);
    expect(billed).toMatchObject([{ outcome: "ok", billing: { amount: COST } }]);
  });

  it("is refused when the credit is spent, and answered again when some is added", async () => {
    const clock = clockAt();
    const payer = await payerOf();
    await payer.credit(3 * COST);
    const { ask, events } = await openEdge(payer);
    for (let paid = 0; paid < 3; paid++) expect((await ask()).status).toBe(200);
    const refused = await ask();
    expect(await codeOf(refused)).toEqual([402, "payment_required"]);
    expect(events.filter((event) => "billing" in event)).toHaveLength(3);
    await payer.credit(COST);
    clock.now += 1_000;
    expect((await ask()).status).toBe(200);
    expect(await codeOf(await ask())).toEqual([402, "payment_required"]);
  });

  it("is answered on grace while the ledger can't be reached, up to the account's bound", async () => {
    const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
    const payer = await payerOf({ grace: { nano: 2 * COST } });
    payer.state.isDown = true;
    const { ask, events, isolate } = await openEdge(payer);
    for (let paid = 0; paid < 2; paid++) expect((await ask()).status).toBe(200);
    const refused = await ask();
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(await codeOf(refused)).toEqual([503, "ledger_unreachable"]);
    expect(events.filter((event) => "billing" in event)).toMatchObject([
      { billing: { lease: "grace", amount: COST } },
      { billing: { lease: "grace", amount: COST } },
    ]);
    expect(isolate.leases.stats).toMatchObject({ onGrace: 2, graceNano: 2 * COST });
    expect(warned.mock.calls.map(([line]) => JSON.parse(String(line)) as unknown)).toMatchObject([
      { event: "ledger_unreachable", account: payer.account.id },
      { event: "grace_admission", usedNano: COST },
      { event: "grace_admission", usedNano: 2 * COST },
    ]);
  });

  it("gives back what is left of a lease that has ended, when others ask", async () => {
    const clock = clockAt();
    const payer = await payerOf();
    await payer.credit(NANO_PER_DOLLAR);
    const { ask, calls } = await openEdge(payer);
    await ask();
    clock.now += 61_000;
    // A token has a lease of its own.
    await ask(x(1, 2), { authorization: `Bearer ${await payer.mint({ spendNano: 1_000 })}` });
    expect(calls).toContain("LEDGERS.giveBack");
    const { outstanding } = await payer.books((ledger) => ledger.standing());
    expect(outstanding).toBeLessThanOrEqual(COST + 1_000);
  });
});

describe("a revoked key", () => {
  it("works for a minute in an isolate that knows it, and never again", async () => {
    const clock = clockAt();
    const payer = await payerOf();
    await payer.credit(NANO_PER_DOLLAR);
    const { key, record } = await payer.issue();
    const { ask } = await openEdge(payer, key);
    await ask();
    await payer.put(key, { ...record, revokedAt: clock.now });
    clock.now += 59_999;
    expect((await ask()).status).toBe(200);
    clock.now += 1;
    expect(await codeOf(await ask())).toEqual([401, "key_revoked"]);
  });
});

describe("a client token", () => {
  it("spends what it may, and no more of the account's credit", async () => {
    const payer = await payerOf();
    await payer.credit(NANO_PER_DOLLAR);
    const { ask, events } = await openEdge(payer, await payer.mint({ spendNano: 3 * COST - 1 }));
    for (let paid = 0; paid < 2; paid++) expect((await ask()).status).toBe(200);
    expect(await codeOf(await ask())).toEqual([429, "limit_reached"]);
    expect(events[0]).toMatchObject({
      billing: { key: "signer:ed", token: expect.any(String), amount: COST },
    });
  });

  it("is verified once, and refused once it has expired", async () => {
    const clock = clockAt();
    const payer = await payerOf();
    await payer.credit(NANO_PER_DOLLAR);
    const { ask } = await openEdge(
      payer,
      await payer.mint({ spendNano: 10 * COST, lifeSeconds: 50 }),
    );
    await ask();
    const verify = vi.spyOn(crypto.subtle, "verify");
    expect((await ask()).status).toBe(200);
    expect(verify).not.toHaveBeenCalled();
    clock.now += 81_000;
    expect(await codeOf(await ask())).toEqual([401, "token_expired"]);
  });
});

describe("GET /v1/usage", () => {
  it("tells the caller's own account alone, for a key of that scope", async () => {
    const payer = await payerOf();
    const { key } = await payer.issue({ scopes: ["usage"] });
    const { send } = await openEdge(payer, key);
    const headers = { authorization: `Bearer ${key}` };
    const response = await send("/v1/usage?from=2026-11&to=2026-11-24T22&by=model,day", {
      headers,
    });
    expect(await response.json()).toEqual({
      account: payer.account.id,
      from: Date.UTC(2026, 10),
      to: Date.UTC(2026, 10, 24, 22),
      by: ["model", "day"],
    });
    for (const query of ["from=yesterday", "by=colour", "from=2027&to=2026"]) {
      expect(await codeOf(await send(`/v1/usage?${query}`, { headers }))).toEqual([
        400,
        "invalid_request",
      ]);
    }
    const other = { authorization: `Bearer ${(await payer.issue()).key}` };
    expect(await codeOf(await send("/v1/usage", { headers: other }))).toEqual([403, "key_scope"]);
    payer.state.isDown = true;
    vi.spyOn(console, "error").mockImplementation(() => {});
    expect((await send("/v1/usage", { headers })).status).toBe(503);
  });

  it("needs a key even where callers without one are answered", async () => {
    const { send } = await openEdge(await payerOf(), undefined, { ANONYMOUS: "allowed" });
    expect(await codeOf(await send("/v1/usage"))).toEqual([401, "key_missing"]);
  });
});

describe("rate limits", () => {
  it("refuse a key that asks too often, until the window is over, without anybody waiting", async () => {
    const clock = clockAt(1_000_000_004_000);
    const payer = await payerOf();
    await payer.credit(NANO_PER_DOLLAR);
    let left = 2;
    const asked: string[] = [];
    const RATE_LIMITER = {
      limit: async ({ key }: { key: string }) => {
        asked.push(key);
        return { success: left-- > 0 };
      },
    };
    const { ask, send } = await openEdge(payer, undefined, { RATE_LIMITER });
    for (let time = 0; time < 3; time++) expect((await ask()).status).toBe(200);
    const refused = await ask();
    expect(Object.fromEntries(refused.headers)).toMatchObject({
      "retry-after": "6",
      ratelimit: '"burst";r=0;t=6',
      "ratelimit-policy": '"burst";q=2000;w=10',
    });
    expect(await codeOf(refused)).toEqual([429, "rate_limited"]);
    expect(new Set(asked).size).toBe(1);
    const other = await payer.issue();
    left = 1;
    expect((await ask(x(1, 2), { authorization: `Bearer ${other.key}` })).status).toBe(200);
    clock.now += 6_000;
    left = 1;
    expect((await ask()).status).toBe(200);
    expect((await send("/")).headers.get("ratelimit-policy")).toBe('"burst";q=2000;w=10');
  });
});
