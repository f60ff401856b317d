import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { NANO_PER_DOLLAR } from "../../../../src/billing/money.ts";
import { type ReceiptKeySet, checkReceipt, digestOf } from "../../../../src/billing/receipt.ts";
import { computing, failing, fakeOrigin, type Respond } from "../../../support/fake-origin.ts";
import { COST, clockAt, codeOf, openEdge, putPaidModels, x } from "../../../support/paid-edge.ts";
import { payerOf } from "../../../support/payer.ts";

beforeAll(putPaidModels);

afterEach(() => {
  vi.restoreAllMocks();
});

async function richEdge(respond: Respond = failing("origin_failed", 502)) {
  const payer = await payerOf();
  await payer.credit(NANO_PER_DOLLAR);
  const origin = fakeOrigin(respond);
  const edge = await openEdge(payer, undefined, { ORIGIN: origin.binding });
  const billed = () => edge.events.filter((event) => "billing" in event);
  return { ...edge, payer, origin, billed };
}

const once = { "idempotency-key": "order-1" };
const FAR = "/v2/models/far/infer";
const CHAT = "/v1/chat/completions";

describe("Idempotency-Key", () => {
  it("answers a retried request as the first one, and bills it once", async () => {
    const { ask, billed } = await richEdge();
    const first = await ask(undefined, once);
    const again = await ask(undefined, once);
    expect([first.status, again.status]).toEqual([200, 200]);
    expect(first.headers.has("idempotent-replayed")).toBe(false);
    expect(await again.text()).toBe(await first.text());
    const kept = ["content-type", "nearside-model", "nearside-version", "nearside-receipt"];
    for (const name of kept) expect(again.headers.get(name)).toBe(first.headers.get(name));
    expect(Object.fromEntries(again.headers)).toMatchObject({
      "idempotent-replayed": "true",
      "nearside-cost": "0 nano-usd",
      "x-litellm-response-cost": "0.00",
    });
    expect(again.headers.get("x-request-id")).not.toBe(first.headers.get("x-request-id"));
    expect(billed()).toEqual([
      expect.objectContaining({
        billing: expect.objectContaining({
          amount: COST,
          idempotencyKey: expect.stringMatching(/^[0-9a-f]{64}$/),
        }),
      }),
    ]);
  });

  it("answers a retried request when there is no credit left", async () => {
    const payer = await payerOf();
    await payer.credit(COST);
    const { ask } = await openEdge(payer);
    expect((await ask(undefined, once)).status).toBe(200);
    expect((await ask()).status).toBe(402);
    expect((await ask(undefined, once)).headers.get("idempotent-replayed")).toBe("true");
  });

  it("is for one body and path alone", async () => {
    const { ask } = await richEdge();
    await ask(undefined, once);
    const refused = [422, "idempotency_conflict"];
    expect(await codeOf(await ask(x(9, 9), once))).toEqual(refused);
    expect(await codeOf(await ask(undefined, once, "/v2/models/linear/versions/2/infer"))).toEqual(
      refused,
    );
  });

  it("is for one way to read the body, however that is written", async () => {
    const { ask } = await richEdge();
    const length = { "inference-header-content-length": String(x(1, 2).length) };
    const bytes = { ...once, ...length, "content-type": "application/octet-stream" };
    const again = async (headers: Record<string, string>): Promise<unknown> => {
      const response = await ask(x(1, 2), { ...bytes, ...headers });
      return response.headers.get("idempotent-replayed") ?? (await codeOf(response));
    };
    const refused = [422, "idempotency_conflict"];
    expect((await ask(x(1, 2), bytes)).status).toBe(200);
    expect(await again({ "content-type": "Application/Octet-Stream ;" })).toBe("true");
    expect(await again({ "accept-encoding": "gzip" })).toBe("true");
    expect(await again({ "content-type": "application/json" })).toEqual(refused);
    expect(await again({ "inference-header-content-length": "0" })).toEqual(refused);
  });

  it("knows JSON by the digest that it always had", async () => {
    const { ask, payer } = await richEdge();
    const { LEDGERS } = payer.bindings;
    if (LEDGERS === undefined) throw new Error("There are no ledgers.");
    const begin = vi.spyOn(LEDGERS, "begin");
    const body = x(1, 2);
    await ask(body, { ...once, "content-type": "application/json; charset=utf-8" });
    const digest = await digestOf(`POST /v2/models/linear/infer ${await digestOf(body)}`);
    expect(begin.mock.calls.map(([, , given]) => given)).toEqual([digest]);
  });

  it("of another key, or another user, is another one", async () => {
    const { ask, payer, billed } = await richEdge();
    await ask(undefined, once);
    const { key } = await payer.issue();
    const credentials = [
      key,
      await payer.mint({ spendNano: COST }),
      await payer.mint({ spendNano: COST }),
    ];
    for (const credential of credentials) {
      const other = await ask(undefined, { ...once, authorization: `Bearer ${credential}` });
      expect([other.status, other.headers.has("idempotent-replayed")]).toEqual([200, false]);
    }
    expect(billed()).toHaveLength(4);
  });

  it("lets one of two callers at once work; the other is told to ask again", async () => {
    const { promise: working, resolve } = Promise.withResolvers<void>();
    const { begin, request, ask, origin, billed } = await richEdge(async (asked) => {
      await working;
      return computing(
        () => ({ y: { type: "FP32", shape: [1, 2], data: new Float32Array(2) } }) as never,
      )(asked);
    });
    const first = begin(FAR, request(x(1, 2, 3, 4), once));
    await vi.waitFor(() => expect(origin.asked).toHaveLength(1));
    const second = await ask(undefined, once, FAR);
    expect(second.headers.get("retry-after")).toBe("1");
    expect(await codeOf(second)).toEqual([409, "idempotency_running"]);
    resolve();
    const { response, settled } = await first;
    await response.arrayBuffer();
    await settled();
    expect((await ask(undefined, once, FAR)).headers.get("idempotent-replayed")).toBe("true");
    expect([origin.asked.length, billed().length]).toEqual([1, 1]);
  });

  it("is forgotten when the request failed, which may be tried again", async () => {
    const { ask, origin, billed } = await richEdge();
    expect((await ask(undefined, once, FAR)).status).toBe(502);
    origin.respond = computing(() => ({}));
    expect((await ask(undefined, once, FAR)).status).toBe(200);
    expect(billed()).toHaveLength(1);
  });

  it("is not taken while the ledger can't be reached: nobody could say whether it is new", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { ask, payer, billed } = await richEdge();
    await ask();
    payer.state.isDown = true;
    expect((await ask()).status).toBe(200);
    expect(await codeOf(await ask(undefined, once))).toEqual([503, "ledger_unreachable"]);
    expect(billed()).toHaveLength(2);
  });

  it.each(["", "two words", "x".repeat(256)])("can't be %j", async (key) => {
    const { ask } = await richEdge();
    const response = await ask(undefined, { "idempotency-key": key });
    expect(await codeOf(response)).toEqual([400, "invalid_request"]);
  });

  it("is forgotten when its caller leaves and the pool's work is lost with them", async () => {
    const { begin, request, ask, origin, billed } = await richEdge(() => new Promise(() => {}));
    const left = new AbortController();
    const first = begin(FAR, { ...request(x(1, 2, 3, 4), once), signal: left.signal });
    await vi.waitFor(() => expect(origin.asked).toHaveLength(1));
    left.abort();
    await (await first).settled();
    origin.respond = computing(() => ({}));
    const again = await ask(undefined, once, FAR);
    expect([again.status, again.headers.has("idempotent-replayed")]).toEqual([200, false]);
    expect(billed()).toHaveLength(1);
  });

  it("works again after a day", async () => {
    const clock = clockAt();
    const { ask, billed } = await richEdge();
    await ask(undefined, once);
    clock.now += 86_400_000;
    expect((await ask(undefined, once)).headers.has("idempotent-replayed")).toBe(false);
    expect(billed()).toHaveLength(2);
  });
});

const event = (data: object) => `data: ${JSON.stringify(data)}\n\n`;
const TOKENS = event({ choices: [{ delta: { content: "é" } }] });
const USAGE = { prompt_tokens: 5, completion_tokens: 2 };
const END = `${event({ choices: [], usage: USAGE })}data: [DONE]\n\n`;
/** 100 for the request, 2 for each token in and 5 for each out. */
const WORDS = 120;
/** The same for two texts of which nothing else was told. */
const DELIVERED = 110;

/** A pool that streams these pieces and then ends, breaks off, or waits. */
const streaming =
  (pieces: readonly string[], last: "close" | "error" | "wait" = "close"): Respond =>
  () => {
    const left = [...pieces];
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        const piece = left.shift();
        if (piece !== undefined) controller.enqueue(new TextEncoder().encode(piece));
        else if (last === "close") controller.close();
        else if (last === "error") controller.error(new Error("gone"));
        else return new Promise(() => {});
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };

const chat = (more: object = {}) =>
  JSON.stringify({ model: "scribe", messages: [{ role: "user", content: "Say é." }], ...more });

describe("an answer of a pool", () => {
  it("is billed by what it used", async () => {
    const { ask, billed } = await richEdge(() => Response.json({ choices: [], usage: USAGE }));
    const response = await ask(chat(), {}, CHAT);
    expect(response.headers.get("nearside-cost")).toBe(`${WORDS} nano-usd`);
    expect(billed()).toMatchObject([{ placement: "origin", billing: { amount: WORDS } }]);
  });

  it("that breaks off costs nothing", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { ask, billed, events } = await richEdge(streaming(["{"], "error"));
    expect((await ask(undefined, {}, FAR)).status).toBe(502);
    expect(billed()).toEqual([]);
    expect(events).toMatchObject([{ outcome: "origin_failed" }]);
  });

  it("tells cost and receipt in a stream's comments, before its last event", async () => {
    const { ask, send, billed } = await richEdge(streaming([TOKENS, TOKENS, END]));
    const body = chat({ stream: true });
    const response = await ask(body, {}, CHAT);
    expect(response.headers.has("nearside-cost")).toBe(false);
    const [before = "", comments = ""] = (await response.text()).split(/(?=: nearside-cost)/);
    expect(before).toBe(TOKENS + TOKENS);
    const [, jws = ""] =
      /^: nearside-cost 120 nano-usd\n: nearside-receipt (\S+)\n\ndata: \[DONE\]\n\n$/.exec(
        comments,
      ) ?? [];
    const keys = await (await send("/.well-known/jwks.json")).json<ReceiptKeySet>();
    expect(await checkReceipt(jws, keys)).toMatchObject({
      ok: true,
      receipt: {
        amount: WORDS,
        units: USAGE,
        requestDigest: await digestOf(body),
        responseDigest: await digestOf(before),
      },
    });
    expect(billed()).toMatchObject([{ outcome: "ok", billing: { amount: WORDS } }]);
  });

  it.each<[string, Respond]>([
    ["breaks off", streaming([TOKENS, TOKENS], "error")],
    ["ends with an error", streaming([TOKENS, TOKENS, event({ error: { message: "no" } })])],
  ])("as a stream that %s costs what was delivered", async (_, respond) => {
    const { ask, events } = await richEdge(respond);
    const text = await (await ask(chat({ stream: true }), {}, CHAT)).text();
    expect(text).toMatch(/"error".*\n\n: nearside-cost 110 nano-usd\n/);
    expect(events).toMatchObject([
      {
        outcome: "origin_failed",
        units: { completion_tokens: 2 },
        billing: { amount: DELIVERED },
        billed: false,
      },
    ]);
  });

  it("as a stream that fails before its first text costs nothing", async () => {
    const { ask, billed, isolate } = await richEdge(streaming([": hello\n\n"], "error"));
    const text = await (await ask(chat({ stream: true }), {}, CHAT)).text();
    expect(text).toContain("origin_failed");
    expect(text).not.toContain("nearside-");
    expect(billed()).toEqual([]);
    expect(isolate.leases.stats.granted).toBe(1);
  });

  it("as a stream without its last event is billed at its end", async () => {
    const { ask, billed } = await richEdge(streaming([TOKENS, TOKENS]));
    const text = await (await ask(chat({ stream: true }), {}, CHAT)).text();
    expect(text).toContain("\n\n: nearside-cost 110 nano-usd\n");
    expect(billed()).toMatchObject([{ outcome: "ok", billing: { amount: DELIVERED } }]);
  });

  it.each(["stops reading", "hangs up"])(
    "whose caller %s costs what was delivered",
    async (how) => {
      const { begin, request, events } = await richEdge(streaming([TOKENS, TOKENS], "wait"));
      const caller = new AbortController();
      const asked = { ...request(chat({ stream: true })), signal: caller.signal };
      const { response, settled } = await begin(CHAT, asked);
      const reader = response.body?.getReader();
      await reader?.read();
      await reader?.read();
      if (how === "hangs up") caller.abort();
      else await reader?.cancel();
      await settled();
      expect(events).toMatchObject([
        {
          outcome: "cancelled",
          units: { completion_tokens: 2 },
          billing: { amount: DELIVERED },
        },
      ]);
    },
  );

  it("whose caller leaves before its first text costs nothing", async () => {
    const { begin, request, events } = await richEdge(streaming([": hello\n\n"], "wait"));
    const { response, settled } = await begin(CHAT, request(chat({ stream: true })));
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    await settled();
    expect(events).toMatchObject([{ outcome: "cancelled", billed: false }]);
    expect(events[0]).not.toHaveProperty("billing");
  });

  it("can't be a stream with an Idempotency-Key", async () => {
    const { ask, origin } = await richEdge(streaming([END]));
    const response = await ask(chat({ stream: true }), once, CHAT);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { code: "invalid_request", param: "idempotency-key" },
    });
    expect(origin.asked).toEqual([]);
  });
});
