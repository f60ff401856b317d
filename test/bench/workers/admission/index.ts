import { type Account, accountKey, newId } from "../../../../src/accounts/account.ts";
import { issueKey, keyRecordKey } from "../../../../src/accounts/key-record.ts";
import type { LedgerService } from "../../../../src/billing/ledger-service.ts";
import { NANO_PER_DOLLAR } from "../../../../src/billing/money.ts";
import { generateReceiptKey } from "../../../../src/billing/receipt.ts";
import type { Context } from "../../../../src/context.ts";
import { identify } from "../../../../src/protocol/authenticate.ts";
import { bill } from "../../../../src/protocol/bill.ts";
import { Charge } from "../../../../src/protocol/charge.ts";
import { type Decided, decide } from "../../../../src/protocol/decide.ts";
import { consoleLog } from "../../../../src/telemetry/log.ts";
import { Timing } from "../../../../src/telemetry/timing.ts";
import type { Env } from "../../../../workers/edge/env.ts";
import { createIsolate } from "../../../../workers/edge/index.ts";
import { manifestOf } from "../../../support/manifests.ts";

const UNITS = { tokens: 12, items: 1 };
const ANSWER = "x".repeat(2048);
const BODY = Uint8Array.from(new TextEncoder().encode(ANSWER));

type Stage = () => Promise<unknown>;

/** Does one stage of a paid request so often, and tells how often it called a binding meanwhile. */
export default {
  async fetch(request, _env, execution) {
    const { pathname, searchParams } = new URL(request.url);
    const bench = (kept ??= await prepare());
    const stages = await stagesOf(bench, execution);
    const stage = stages[pathname.slice(1)];
    if (stage === undefined) return new Response(null, { status: 404 });
    // The first of all fills the caches.
    await stage();
    const before = bench.calls.length;
    for (let left = Number(searchParams.get("n")); left > 0; left--) await stage();
    return Response.json({ calls: bench.calls.length - before });
  },
} satisfies ExportedHandler<Env>;

let kept: Awaited<ReturnType<typeof prepare>> | undefined;

async function prepare() {
  const calls: string[] = [];
  const account: Account = {
    id: newId("acc_"),
    name: "Bench",
    plan: "pay",
    currency: "USD",
    billing: "prepaid",
    limits: {},
    status: "active",
  };
  const { key, hash, record } = await issueKey(
    { account: account.id, name: "bench", kind: "live", scopes: ["predict"] },
    Date.now(),
  );
  const catalog = {
    schema: 1,
    number: 1,
    models: { m: { versions: { 1: manifestOf({ name: "m" }) }, labels: { stable: 1 } } },
    prices: [
      {
        id: "p1",
        model: "*",
        perRequest: 100,
        perUnit: { tokens: 3 },
        from: "2026-01-01T00:00:00Z",
      },
    ],
  };
  const namespace = (values: Record<string, unknown>) =>
    ({
      async get(name: string) {
        calls.push(name);
        return name in values ? JSON.stringify(values[name]) : null;
      },
    }) as unknown as KVNamespace;
  const ledgers: Pick<LedgerService, "grant"> = {
    async grant() {
      calls.push("grant");
      const lease = { id: "l", credit: NANO_PER_DOLLAR, ttlSeconds: 60, expiresAt: 0 };
      return { ok: true, isScarce: false, ...lease };
    },
  };
  const isolate = createIsolate({
    MODELS: {} as R2Bucket,
    CATALOG: namespace({ catalog }),
    KEYS: namespace({ [keyRecordKey(hash)]: record, [accountKey(account.id)]: account }),
    LEDGERS: ledgers as LedgerService,
    USAGE: { sendBatch: async () => {} } as unknown as NonNullable<Env["USAGE"]>,
    MODEL_BUDGET_BYTES: "100663296",
    RECEIPT_KEY: JSON.stringify(await generateReceiptKey("bench")),
  });
  const request = new Request("https://edge.test/v1/predict/m", {
    method: "POST",
    headers: { authorization: `Bearer ${key}` },
  });
  return { calls, isolate, request };
}

async function stagesOf(
  { isolate, request }: Awaited<ReturnType<typeof prepare>>,
  execution: ExecutionContext,
): Promise<Record<string, Stage>> {
  const context: Context = {
    isolate,
    requestId: crypto.randomUUID(),
    timing: new Timing(() => performance.now()),
    log: consoleLog,
    signal: request.signal,
    now: () => Date.now(),
    clock: () => performance.now(),
    waitUntil: (promise) => execution.waitUntil(promise),
  };
  const who = () => identify(context, request, { scope: "predict", model: "m" });
  const principal = await who();
  const choose = (): Promise<Decided> =>
    decide(context, { model: "m" }, request, {
      protocol: "open-inference",
      principal,
      once: undefined,
    });
  const decided = await choose();
  const admit = () => Charge.admit(context, decided, UNITS);
  return {
    choose,
    async authenticate() {
      await who();
    },
    async admit() {
      (await admit())?.release();
    },
    async receipt() {
      const charge = await admit();
      const response = new Response(ANSWER);
      if (charge !== undefined) await bill(charge, { response, units: UNITS }, "edge", BODY);
    },
  };
}
