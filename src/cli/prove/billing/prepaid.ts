import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { type Check, hold } from "../check.ts";
import { startChaos } from "./chaos-stack.ts";
import { addCredit, openAccount, PER_ITEM, PER_REQUEST, setPrice } from "./customer.ts";
import { Payer } from "./payers.ts";

const ISOLATES = 20;
const AFFORDED = 1_000;
const PRICE = PER_REQUEST + PER_ITEM;
/** Asked in a row without an answer that is paid for: the credit is gone. */
const REFUSALS = 5;

/** Credit for exactly 1,000 requests, and twenty isolates that all want it. */
export const prepaid: Check<undefined> = {
  claim: `a prepaid account with credit for ${AFFORDED} requests gets ${AFFORDED} answers from ${ISOLATES} isolates at once and not one more, then 402; with more credit it goes on`,
  async run() {
    const state = await mkdtemp(path.join(tmpdir(), "nearside-prepaid-"));
    const stack = await startChaos(state, ISOLATES);
    try {
      await setPrice(stack.control);
      const customer = await openAccount(stack.control, {}, AFFORDED * PRICE);
      const spend = async () => {
        let answered = 0;
        const codes = new Set<string>();
        await Promise.all(
          stack.edgeUrls.map(async (url) => {
            const payer = new Payer();
            for (let refused = 0; refused < REFUSALS;) {
              const { status, code = "" } = await payer.ask(url, customer);
              if (status === 200) answered++;
              else {
                hold(status === 402, `it answered ${status}: ${code}`);
                codes.add(code);
                refused++;
                // Others give back what they don't need.
                await sleep(300);
              }
            }
            payer.close();
          }),
        );
        return { answered, codes };
      };
      const first = await spend();
      hold(first.answered <= AFFORDED, `${first.answered} requests were answered`);
      hold(first.answered >= AFFORDED * 0.95, `only ${first.answered} requests were answered`);
      hold([...first.codes].join() === "payment_required", [...first.codes].join());
      await addCredit(stack.control, customer.account, 100 * PRICE);
      await sleep(1_000);
      const second = await spend();
      const total = first.answered + second.answered;
      hold(second.answered > 0, "with more credit nothing was answered");
      hold(
        total <= AFFORDED + 100,
        `${total} requests were answered on credit for ${AFFORDED + 100}`,
      );
      return { prepaidAnswered: first.answered, answeredAfterCredit: second.answered };
    } finally {
      await stack.stop();
      await rm(state, { recursive: true, force: true });
    }
  },
};
