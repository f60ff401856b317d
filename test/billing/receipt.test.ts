import { describe, expect, it } from "vitest";

import {
  type Receipt,
  type ReceiptKey,
  ReceiptSigner,
  checkReceipt,
  digestOf,
  generateReceiptKey,
  publicKeys,
  signingKey,
} from "../../src/billing/receipt.ts";
import { NOON } from "./support.ts";

const receipt: Receipt = {
  requestId: "r-1",
  event: "e-1",
  at: new Date(NOON).toISOString(),
  account: "acc_a",
  model: "minilm",
  version: 3,
  manifest: "a".repeat(64),
  placement: "edge",
  units: { tokens: 10 },
  price: "plain",
  amount: 130,
  currency: "USD",
  requestDigest: "b".repeat(64),
  responseDigest: "c".repeat(64),
};

const key = await generateReceiptKey("k1");
const signer = await ReceiptSigner.of([key], NOON);
const jws = await signer.sign(receipt);
const known = publicKeys([key]);

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const [head = "", payload = "", signature = ""] = jws.split(".");

describe("a receipt", () => {
  it("says again what was signed, and by which key", async () => {
    expect(await checkReceipt(jws, known)).toEqual({ ok: true, receipt, kid: "k1" });
    expect(JSON.parse(Buffer.from(head, "base64url").toString())).toEqual({
      alg: "EdDSA",
      kid: "k1",
      typ: "nearside-receipt+jws",
    });
    expect(jws.length).toBeLessThan(1_000);
  });

  it.each([
    [
      "another amount",
      `${head}.${encode({ ...receipt, amount: 1 })}.${signature}`,
      "bad_signature",
    ],
    ["another's signature", `${head}.${payload}.${"A".repeat(86)}`, "bad_signature"],
    ["no signature", `${head}.${payload}.`, "bad_signature"],
    ["no algorithm", `${encode({ alg: "none", kid: "k1" })}.${payload}.`, "malformed"],
    [
      "a secret's algorithm",
      `${encode({ alg: "HS256", kid: "k1" })}.${payload}.${signature}`,
      "malformed",
    ],
    [
      "an unknown key",
      `${encode({ alg: "EdDSA", kid: "k2", typ: "nearside-receipt+jws" })}.${payload}.${signature}`,
      "unknown_key",
    ],
    [
      "no key",
      `${encode({ alg: "EdDSA", typ: "nearside-receipt+jws" })}.${payload}.${signature}`,
      "malformed",
    ],
    ["nothing", "", "malformed"],
    ["words", "not a receipt", "malformed"],
    ["half of it", jws.slice(0, 200), "malformed"],
  ])("with %s is none", async (_, forged, fault) => {
    expect(await checkReceipt(forged, known)).toEqual({ ok: false, fault });
  });

  it("is none when the key signed something else", async () => {
    const other = await signer.sign({ ...receipt, amount: 0.5 });
    expect(await checkReceipt(other, known)).toEqual({ ok: false, fault: "not_a_receipt" });
  });

  it("of another's key under the same name is forged", async () => {
    const stranger = await ReceiptSigner.of([await generateReceiptKey("k1")], NOON);
    expect(await checkReceipt(await stranger.sign(receipt), known)).toEqual({
      ok: false,
      fault: "bad_signature",
    });
  });
});

describe("keys", () => {
  const seconds = NOON / 1_000;
  const old: ReceiptKey = { ...key, kid: "old", exp: seconds };
  const next: ReceiptKey = { ...key, kid: "next", nbf: seconds };

  it("take over from each other at their time, and nobody signs where there is none", async () => {
    expect(signingKey([next, old], NOON - 1)?.kid).toBe("old");
    expect(signingKey([next, old], NOON)?.kid).toBe("next");
    expect(signingKey([next, { ...old, exp: seconds + 60 }], NOON)?.kid).toBe("next");
    await expect(ReceiptSigner.of([old], NOON)).rejects.toThrow(RangeError);
  });

  it("that retired vouch for what they signed, and for nothing later", async () => {
    const both = publicKeys([old, next]);
    const retired = await ReceiptSigner.of([old], NOON - 1);
    const signed = (at: number) => retired.sign({ ...receipt, at: new Date(at).toISOString() });
    expect(await checkReceipt(await signed(NOON - 86_400_000), both)).toMatchObject({ ok: true });
    expect(await checkReceipt(await signed(NOON + 299_000), both)).toMatchObject({ ok: true });
    expect(await checkReceipt(await signed(NOON + 300_000), both)).toEqual({
      ok: false,
      fault: "outside_key_time",
    });
  });

  it("are published without what signs", () => {
    const [published] = publicKeys([old]).keys;
    expect(published).toEqual({
      kty: "OKP",
      crv: "Ed25519",
      kid: "old",
      x: key.x,
      alg: "EdDSA",
      use: "sig",
      exp: seconds,
    });
  });
});

describe("a digest", () => {
  it("is SHA-256 in hex, of bytes or of text", async () => {
    const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    expect(await digestOf("abc")).toBe(abc);
    expect(await digestOf(new TextEncoder().encode("abc"))).toBe(abc);
  });
});
