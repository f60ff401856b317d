import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import type { Begun } from "../../../../src/billing/idempotency.ts";
import type { LedgerService } from "../../../../src/billing/ledger-service.ts";
import { NANO_PER_DOLLAR } from "../../../../src/billing/money.ts";
import { generateReceiptKey } from "../../../../src/billing/receipt.ts";
import { COST, codeOf, openEdge, putPaidModels, x } from "../../../support/paid-edge.ts";
import { payerOf } from "../../../support/payer.ts";

beforeAll(putPaidModels);

afterEach(() => {
  vi.restoreAllMocks();
});

const GRATIS = "/v2/models/gratis/infer";
const once = { "idempotency-key": "order-1" };

async function richPayer() {
  const payer = await payerOf({ plan: "enterprise" });
  await payer.credit(NANO_PER_DOLLAR);
  return payer;
}

describe("an edge without what bills", () => {
  it.each(["USAGE", "LEDGERS"] as const)(
    "refuses what has a price, and tells the operator: no %s",
    async (binding) => {
      const logged = vi.spyOn(console, "error").mockImplementation(() => {});
      const { ask } = await openEdge(await richPayer(), undefined, {}, { unbound: [binding] });
      const refused = await ask();
      expect(refused.headers.has("nearside-receipt")).toBe(false);
      expect(await refused.clone().text()).not.toContain(binding);
      expect(await codeOf(refused)).toEqual([503, "billing_unavailable"]);
      expect(String(logged.mock.calls[0])).toContain(`There is no binding ${binding}`);
      expect((await ask(x(1, 2), {}, GRATIS)).status).toBe(200);
    },
  );
});

describe("a receipt", () => {
  it("is missing where no key signs: the answer comes, and is billed", async () => {
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    const old = { ...(await generateReceiptKey("old")), exp: 1 };
    const { ask, events } = await openEdge(await richPayer(), undefined, {
      RECEIPT_KEY: JSON.stringify(old),
    });
    const response = await ask();
    expect(response.status).toBe(200);
    expect(response.headers.get("nearside-cost")).toBe(`${COST} nano-usd`);
    expect(response.headers.has("nearside-receipt")).toBe(false);
    expect(events).toMatchObject([{ billing: { amount: COST } }]);
    expect(String(logged.mock.calls[0])).toContain("receipt_not_signed");
  });

  it("says the time that its event says", async () => {
    const { ask, events } = await openEdge(await richPayer());
    let now = Date.now();
    vi.spyOn(Date, "now").mockImplementation(() => (now += 7));
    const jws = (await ask()).headers.get("nearside-receipt") ?? "";
    const [, payload = ""] = jws.split(".");
    const { at } = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))) as {
      at: string;
    };
    expect(events.map((event) => event.at)).toEqual([Date.parse(at)]);
  });
});

describe("while the ledger is out of reach", () => {
  it("a client token is refused where its account's key is answered on grace", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const payer = await richPayer();
    payer.state.isDown = true;
    const { ask } = await openEdge(payer);
    expect((await ask()).status).toBe(200);
    const authorization = `Bearer ${await payer.mint({ spendNano: NANO_PER_DOLLAR })}`;
    expect(await codeOf(await ask(undefined, { authorization }))).toEqual([
      503,
      "ledger_unreachable",
    ]);
  });
});

/** A ledger whose answers to Idempotency-Keys the test gives; the rest is the payer's. */
async function edgeWith(idempotency: Partial<Pick<LedgerService, "begin" | "finish">>) {
  const payer = await richPayer();
  const finished: unknown[][] = [];
  const ledgers = payer.bindings.LEDGERS as LedgerService;
  const LEDGERS: LedgerService = {
    ...ledgers,
    begin: async () => ({ state: "new", token: "t", begunAt: 77 }),
    finish: async (...words) => void finished.push(words),
    ...idempotency,
  };
  return { ...(await openEdge(payer, undefined, { LEDGERS })), payer, finished };
}

/** Time limits are over at once. */
function hurry(): void {
  const wait = scheduler.wait.bind(scheduler);
  vi.spyOn(scheduler, "wait").mockImplementation(() => wait(0));
}

describe("a ledger that is slow with an Idempotency-Key", () => {
  it("does not keep the answer from its caller", async () => {
    const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
    const { promise: kept, resolve } = Promise.withResolvers<void>();
    const { begin, request } = await edgeWith({ finish: () => kept });
    hurry();
    const { response, settled } = await begin(GRATIS, request(x(1, 2), once));
    expect(response.status).toBe(200);
    await response.arrayBuffer();
    expect(String(warned.mock.calls)).toContain("answer_kept_late");
    resolve();
    await settled();
  });

  it("is told that nobody works for what it began too late", async () => {
    const { promise: begun, resolve } = Promise.withResolvers<Begun>();
    const { begin, request, finished, payer } = await edgeWith({ begin: () => begun });
    hurry();
    const { response, settled } = await begin(GRATIS, request(x(1, 2), once));
    expect(await codeOf(response)).toEqual([503, "ledger_unreachable"]);
    expect(finished).toEqual([]);
    resolve({ state: "new", token: "late", begunAt: 1 });
    await settled();
    expect(finished).toEqual([[payer.account.id, expect.any(String), "late"]]);
  });
});

describe("an Idempotency-Key on a bill", () => {
  it("is of the account, the key and the body, and says when it began", async () => {
    const { ask, events, finished } = await edgeWith({});
    for (const body of [x(1, 2), x(1, 2), x(3, 4)]) {
      expect((await ask(body, once)).status).toBe(200);
    }
    const keys = events.map((event) =>
      event.kind === "request" ? event.billing?.idempotencyKey : undefined,
    );
    expect(keys[0]).toMatch(/^[0-9a-f]{64}$/);
    expect([keys[1] === keys[0], keys[2] === keys[0]]).toEqual([true, false]);
    expect(events[0]).toMatchObject({ billing: { idempotencyBegun: 77 } });
    expect(finished.map(([, , token]) => token)).toEqual(["t", "t", "t"]);
  });
});
