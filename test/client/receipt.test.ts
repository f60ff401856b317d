import { beforeAll, describe, expect, it } from "vitest";

import { verifyReceipt } from "../../src/client/index.ts";
import {
  type Receipt,
  type ReceiptKey,
  type ReceiptKeySet,
  ReceiptSigner,
  digestOf,
  generateReceiptKey,
  publicKeys,
} from "../../src/billing/receipt.ts";

const AT = "2026-11-24T22:00:00.000Z";
const SECONDS = Date.parse(AT) / 1_000;

let key: ReceiptKey;
let jwks: ReceiptKeySet;
let receipt: Receipt;
let signed: string;
beforeAll(async () => {
  key = await generateReceiptKey("k1");
  jwks = publicKeys([await generateReceiptKey("k0"), key]);
  receipt = {
    requestId: "req-1",
    event: "event-1",
    at: AT,
    account: "acc_a",
    model: "minilm",
    version: 3,
    manifest: "ab".repeat(32),
    placement: "edge",
    units: { tokens: 5 },
    price: "p1",
    amount: 100,
    currency: "USD",
    requestDigest: await digestOf("asked é"),
    responseDigest: await digestOf("answered"),
  };
  signed = await (await ReceiptSigner.of([key], Date.parse(AT))).sign(receipt);
});

const base64url = (text: string) => Buffer.from(text).toString("base64url");

/** The parts of the receipt, changed. */
const with_ = (change: (parts: [string, string, string]) => readonly string[]): string =>
  change(signed.split(".") as [string, string, string]).join(".");

describe("verifyReceipt", () => {
  it("returns what the edge signed", async () => {
    const verified: Receipt = await verifyReceipt(signed, { jwks });
    expect(verified).toEqual(receipt);
    const bodies = { request: "asked é", response: new TextEncoder().encode("answered") };
    expect(await verifyReceipt(signed, { jwks, ...bodies })).toEqual(receipt);
  });

  it("fetches the published keys", async () => {
    const asked: string[] = [];
    const fetch = async (url: string) => {
      asked.push(url);
      return Response.json(jwks);
    };
    expect(await verifyReceipt(signed, { baseUrl: "https://edge.test/", fetch })).toEqual(receipt);
    expect(asked).toEqual(["https://edge.test/.well-known/jwks.json"]);
  });

  it.each([
    ["does not answer", () => Promise.reject(new TypeError("Failed to fetch"))],
    ["answers without keys", async () => Response.json({})],
    ["fails", async () => Response.json({ keys: [] }, { status: 500 })],
    ["answers with a page", async () => new Response("<html>")],
  ])("fails as a network does when the edge %s", async (_, fetch) => {
    await expect(
      verifyReceipt(signed, { baseUrl: "https://edge.test", fetch }),
    ).rejects.toMatchObject({
      code: "network_failed",
    });
  });

  it.each<[string, string, () => string]>([
    ["receipt_malformed", "nothing", () => ""],
    ["receipt_malformed", "no JWS", () => "not a receipt"],
    ["receipt_malformed", "a fourth part", () => `${signed}.x`],
    ["receipt_malformed", "no base64", () => with_(([, ...rest]) => ["%%%", ...rest])],
    [
      "receipt_malformed",
      "another algorithm",
      () =>
        with_(([, ...rest]) => [
          base64url('{"alg":"none","kid":"k1","typ":"nearside-receipt+jws"}'),
          ...rest,
        ]),
    ],
    [
      "receipt_malformed",
      "another type",
      () => with_(([, ...rest]) => [base64url('{"alg":"EdDSA","kid":"k1","typ":"JWT"}'), ...rest]),
    ],
    [
      "receipt_malformed",
      "no kid",
      () =>
        with_(([, ...rest]) => [
          base64url('{"alg":"EdDSA","typ":"nearside-receipt+jws"}'),
          ...rest,
        ]),
    ],
    [
      "receipt_unknown_key",
      "an unknown kid",
      () =>
        with_(([, ...rest]) => [
          base64url('{"alg":"EdDSA","kid":"k9","typ":"nearside-receipt+jws"}'),
          ...rest,
        ]),
    ],
    [
      "receipt_bad_signature",
      "the kid of another key",
      () =>
        with_(([, ...rest]) => [
          base64url('{"alg":"EdDSA","kid":"k0","typ":"nearside-receipt+jws"}'),
          ...rest,
        ]),
    ],
    [
      "receipt_bad_signature",
      "another amount",
      () =>
        with_(([head, , signature]) => [
          head,
          base64url(JSON.stringify({ ...receipt, amount: 1 })),
          signature,
        ]),
    ],
    [
      "receipt_bad_signature",
      "no signature",
      () => with_(([head, payload]) => [head, payload, ""]),
    ],
    [
      "receipt_bad_signature",
      "an altered signature",
      () =>
        with_(([head, payload, signature]) => [
          head,
          payload,
          signature.replace(/^./, (first) => (first === "A" ? "B" : "A")),
        ]),
    ],
  ])("says %s of %s", async (code, _, jws) => {
    await expect(verifyReceipt(jws(), { jwks })).rejects.toMatchObject({ code });
  });

  it.each([
    ["request", "receipt_other_request"],
    ["response", "receipt_other_response"],
  ])("holds the receipt against the %s", async (body, code) => {
    await expect(verifyReceipt(signed, { jwks, [body]: "something else" })).rejects.toMatchObject({
      code,
    });
  });

  it("takes a key only in its time, give or take five minutes", async () => {
    const during = (nbf: number, exp: number) =>
      verifyReceipt(signed, { jwks: { keys: jwks.keys.map((one) => ({ ...one, nbf, exp })) } });
    await expect(during(SECONDS, SECONDS + 1)).resolves.toEqual(receipt);
    await expect(during(SECONDS + 300, SECONDS + 600)).resolves.toEqual(receipt);
    const outside = { code: "receipt_outside_key_time" };
    await expect(during(SECONDS + 301, SECONDS + 600)).rejects.toMatchObject(outside);
    await expect(during(0, SECONDS - 300)).rejects.toMatchObject(outside);
  });

  it.each(["7", "null", "{}", '{"at":"yesterday"}'])(
    "finds no receipt in a signed %s",
    async (text) => {
      const signer = await ReceiptSigner.of([key], Date.parse(AT));
      const jws = await signer.sign(JSON.parse(text) as Receipt);
      await expect(verifyReceipt(jws, { jwks })).rejects.toMatchObject({
        code: "receipt_malformed",
      });
    },
  );
});
