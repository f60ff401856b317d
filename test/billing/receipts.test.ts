import { beforeEach, describe, expect, it } from "vitest";

import {
  type Receipt,
  checkReceipt,
  generateReceiptKey,
  publicKeys,
} from "../../src/billing/receipt.ts";
import { Receipts } from "../../src/billing/receipts.ts";
import { NOON } from "./support.ts";

const receipt: Receipt = {
  requestId: "r",
  event: "e",
  at: new Date(NOON).toISOString(),
  account: "acc_a",
  model: "m",
  version: 1,
  manifest: "a".repeat(64),
  placement: "edge",
  units: {},
  price: "p",
  amount: 1,
  currency: "USD",
  requestDigest: "b".repeat(64),
  responseDigest: "c".repeat(64),
};

const logged: string[] = [];
const log = { warn: () => {}, error: (event: string) => void logged.push(event) };

beforeEach(() => {
  logged.length = 0;
});

describe("an isolate's receipts", () => {
  it("are checked by the keys that it publishes, those that signed before included", async () => {
    const [old, current] = [await generateReceiptKey("k1"), await generateReceiptKey("k2")];
    const before = new Receipts(JSON.stringify(old), undefined);
    const older = JSON.stringify(publicKeys([old, current]));
    const now = new Receipts(JSON.stringify(current), older);
    expect(now.publicKeys.keys.map(({ kid }) => kid)).toEqual(["k2", "k1"]);
    expect(JSON.stringify(now.publicKeys)).not.toContain(current.d);
    for (const receipts of [before, now]) {
      const jws = (await receipts.sign(receipt, NOON, log)) ?? "";
      expect(await checkReceipt(jws, now.publicKeys)).toMatchObject({ ok: true, receipt });
    }
  });

  it("are signed by the key whose time it is, of several", async () => {
    const seconds = NOON / 1_000;
    const old = { ...(await generateReceiptKey("old")), exp: seconds + 60 };
    const next = { ...(await generateReceiptKey("next")), nbf: seconds + 60 };
    const receipts = new Receipts(JSON.stringify({ keys: [next, old] }), undefined);
    for (const [time, kid] of [
      [NOON, "old"],
      [NOON + 59_999, "old"],
      [NOON + 60_000, "next"],
      [NOON, "old"],
    ] as const) {
      const at = new Date(time).toISOString();
      const jws = (await receipts.sign({ ...receipt, at }, time, log)) ?? "";
      expect(await checkReceipt(jws, receipts.publicKeys)).toMatchObject({ ok: true, kid });
    }
    expect(logged).toEqual([]);
  });

  it.each([
    ["all keys have expired", { exp: NOON / 1_000 }],
    ["no key's time has come", { nbf: NOON / 1_000 + 1 }],
    ["the key is damaged", { d: "AAAA" }],
  ])("are missing, and that is logged, when %s", async (_, change) => {
    const key = { ...(await generateReceiptKey("k")), ...change };
    const receipts = new Receipts(JSON.stringify(key), undefined);
    expect(await receipts.sign(receipt, NOON, log)).toBeUndefined();
    expect(logged).toEqual(["receipt_not_signed"]);
  });

  it.each([undefined, ""])("are none without a key (%j)", async (key) => {
    const receipts = new Receipts(key, undefined);
    expect(await receipts.sign(receipt, NOON, log)).toBeUndefined();
    expect(receipts.publicKeys).toEqual({ keys: [] });
  });

  it.each([
    ["{", "JSON"],
    ["{}", "kty"],
    ['{"keys":[]}', "length"],
    ['{"kty":"oct","k":"c2VjcmV0"}', "OKP"],
  ])("do not start with %s as a key", (key, why) => {
    expect(() => new Receipts(key, undefined)).toThrow(why);
  });
});
