import { describe, expect, it } from "vitest";

import {
  ReceiptSigner,
  checkReceipt,
  digestOf,
  generateReceiptKey,
  publicKeys,
} from "../../../../src/billing/receipt.ts";
import { HOUR, NOON, book, ledgerEvent, priceOf } from "../../../billing/support.ts";
import { withBooks } from "./support.ts";

describe("receipts", () => {
  it("sum up to the usage of the statement, and each is known to the ledger", () =>
    withBooks(async ({ ledger, storage }) => {
      const price = priceOf({ free: { tokens: 100 } });
      const key = await generateReceiptKey("k1");
      const signer = await ReceiptSigner.of([key], NOON);
      const receipts: string[] = [];
      for (let request = 0; request < 40; request++) {
        const event = ledgerEvent({ units: { tokens: request }, price });
        const { id, at, requestId, model, version, placement, units, billing } = event;
        const receipt = await signer.sign({
          requestId,
          event: id,
          at: new Date(at).toISOString(),
          account: billing.account,
          model,
          version,
          manifest: "a".repeat(64),
          placement,
          units,
          price: billing.price,
          amount: billing.amount,
          currency: "USD",
          requestDigest: await digestOf("question"),
          responseDigest: await digestOf("answer"),
        });
        receipts.push(receipt);
        const billed = { ...event, billing: { ...billing, receipt: await digestOf(receipt) } };
        ledger.record([billed, billed], book(price));
      }
      let sum = 0;
      for (const jws of receipts) {
        const checked = await checkReceipt(jws, publicKeys([key]));
        if (!checked.ok) throw new Error(checked.fault);
        const { event, amount } = checked.receipt;
        sum += amount;
        expect(
          storage.sql.exec("SELECT receipt, amount FROM events WHERE id = ?", event).one(),
        ).toEqual({ receipt: await digestOf(jws), amount });
      }
      const statement = ledger.statement(NOON, NOON + HOUR);
      expect(statement).toMatchObject({ usage: sum, allowance: 300, closing: 300 - sum });
    }));
});
