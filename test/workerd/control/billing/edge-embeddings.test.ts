import { env } from "cloudflare:workers";
import * as v from "valibot";
import { beforeAll, describe, expect, it } from "vitest";

import { NANO_PER_DOLLAR } from "../../../../src/billing/money.ts";
import { type ReceiptKeySet, checkReceipt, digestOf } from "../../../../src/billing/receipt.ts";
import { Catalog } from "../../../../src/catalog/catalog.ts";
import { CATALOG_KV_KEY } from "../../../../src/catalog/reader.ts";
import { priceOf } from "../../../billing/support.ts";
import { publishEmbedding } from "../../../support/embedding-model.ts";
import { openEdge } from "../../../support/paid-edge.ts";
import { payerOf } from "../../../support/payer.ts";

const PATH = "/v1/embeddings";
const BODY = '{"model":"words","input":"north"}';
/** 100 for the request and 3 for each of [CLS] north [SEP]. */
const COST = 109;

beforeAll(async () => {
  const words = await publishEmbedding(env.MODELS, "words");
  const catalog = v.parse(Catalog, {
    schema: 1,
    number: 1,
    models: { words: { versions: { 1: words }, labels: { stable: 1 } } },
    prices: [priceOf({ model: "words", perUnit: { tokens: 3 } })],
  });
  await env.CATALOG.put(CATALOG_KV_KEY, JSON.stringify(catalog));
});

async function richEdge(credit = NANO_PER_DOLLAR) {
  const payer = await payerOf();
  await payer.credit(credit);
  const edge = await openEdge(payer);
  const ask = (body = BODY, headers: Record<string, string> = {}) => edge.ask(body, headers, PATH);
  return { ...edge, payer, ask, billed: () => edge.events.filter((event) => "billing" in event) };
}

describe("embeddings in OpenAI's form", () => {
  it("cost what the model has seen, with a receipt over both bodies", async () => {
    const { ask, billed, send } = await richEdge();
    const response = await ask();
    expect(response.status).toBe(200);
    expect(response.headers.get("nearside-cost")).toBe(`${COST} nano-usd`);
    const keys = await (await send("/.well-known/jwks.json")).json<ReceiptKeySet>();
    const checked = await checkReceipt(response.headers.get("nearside-receipt") ?? "", keys);
    const encoded = new TextEncoder().encode(BODY);
    expect(checked).toMatchObject({
      ok: true,
      receipt: {
        amount: COST,
        units: { items: 1, tokens: 3 },
        requestDigest: await digestOf(encoded),
        responseDigest: await digestOf(new Uint8Array(await response.arrayBuffer())),
      },
    });
    expect(billed()).toMatchObject([{ billing: { amount: COST } }]);
  });

  it("are answered and billed once for an Idempotency-Key", async () => {
    const { ask, billed } = await richEdge();
    const once = { "idempotency-key": "order-1" };
    const first = await ask(BODY, once);
    const again = await ask(BODY, once);
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    expect(await again.text()).toBe(await first.text());
    expect(billed()).toHaveLength(1);
    const other = await ask('{"model":"words","input":"east"}', once);
    expect([other.status, await other.json()]).toMatchObject([
      422,
      { error: { code: "idempotency_conflict", param: "idempotency-key" } },
    ]);
  });

  it("are refused in OpenAI's form when there is no credit", async () => {
    const { ask } = await richEdge(1);
    const response = await ask();
    expect([response.status, await response.json()]).toMatchObject([
      402,
      { error: { code: "payment_required", type: "invalid_request_error" } },
    ]);
  });
});
