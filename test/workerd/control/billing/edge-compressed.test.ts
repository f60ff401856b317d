import { beforeAll, describe, expect, it } from "vitest";

import { NANO_PER_DOLLAR } from "../../../../src/billing/money.ts";
import { type ReceiptKeySet, checkReceipt, digestOf } from "../../../../src/billing/receipt.ts";
import { PATH, openEdge, putPaidModels, x } from "../../../support/paid-edge.ts";
import { payerOf } from "../../../support/payer.ts";

beforeAll(putPaidModels);

const body = x(...Array<number>(128).fill(0.1));

async function through(
  bytes: BodyInit,
  transform: CompressionStream | DecompressionStream,
): Promise<ArrayBuffer> {
  const { body: plain } = new Response(bytes);
  if (plain === null) throw new Error("There is no body.");
  return new Response(plain.pipeThrough(transform)).arrayBuffer();
}

async function richEdge() {
  const payer = await payerOf();
  await payer.credit(NANO_PER_DOLLAR);
  const edge = await openEdge(payer);
  const zipped = await through(body, new CompressionStream("gzip"));
  const ask = (coding: string | undefined, accepted: string) =>
    edge.send(PATH, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${edge.key}`,
        "idempotency-key": "order-1",
        "accept-encoding": accepted,
        ...(coding !== undefined && { "content-encoding": coding }),
      },
      body: coding === undefined ? body : zipped,
    });
  return { ...edge, ask };
}

describe("a compressed request with a compressed answer", () => {
  it("has a receipt of what they say, not of their coding", async () => {
    const { ask, send } = await richEdge();
    const response = await ask("gzip", "deflate");
    expect(response.headers.get("content-encoding")).toBe("deflate");
    const jws = response.headers.get("nearside-receipt") ?? "";
    const content = await through(await response.arrayBuffer(), new DecompressionStream("deflate"));
    const keys = await (await send("/.well-known/jwks.json")).json<ReceiptKeySet>();
    expect(await checkReceipt(jws, keys)).toMatchObject({
      ok: true,
      receipt: {
        requestDigest: await digestOf(body),
        responseDigest: await digestOf(content),
        units: { elements: 128 },
      },
    });
  });

  it("is answered once, in whatever coding it is asked for again", async () => {
    const { ask, events } = await richEdge();
    const first = await ask("gzip", "gzip");
    const plain = await ask(undefined, "identity");
    const again = await ask("gzip", "deflate");
    expect([plain, again].map(({ headers }) => headers.get("idempotent-replayed"))).toEqual([
      "true",
      "true",
    ]);
    expect([first, plain, again].map(({ headers }) => headers.get("content-encoding"))).toEqual([
      "gzip",
      null,
      "deflate",
    ]);
    const content = await plain.text();
    const texts = await Promise.all([
      through(await first.arrayBuffer(), new DecompressionStream("gzip")),
      through(await again.arrayBuffer(), new DecompressionStream("deflate")),
    ]);
    for (const text of texts) expect(new TextDecoder().decode(text)).toBe(content);
    expect(events.filter((event) => "billing" in event)).toHaveLength(1);
  });
});
