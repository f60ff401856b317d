import { type Verdict, runChecks } from "../check.ts";
import { testsPass } from "../tests-pass.ts";
import { admitted } from "./admitted.ts";
import { chaos } from "./chaos.ts";
import { prepareChaos } from "./chaos-stack.ts";
import { exportedAndClosed } from "./exported.ts";
import { prepaid } from "./prepaid.ts";

const TESTS = [
  testsPass(
    "money, prices, tiers, periods and statements add up, whatever they are; keys and tokens are refused alike",
    "node",
    ["test/billing", "test/accounts"],
    "moneyTestsPassed",
  ),
  testsPass(
    "in workerd: the ledger through chaos, leases of twenty isolates, idempotency, receipts, exports",
    "control",
    ["chaos", "leases", "overspend", "idempotency", "receipts", "outbox", "deliver"].map(
      (name) => `test/workerd/control/billing/${name}.test.ts`,
    ),
    "ledgerTestsPassed",
  ),
];

/** `npm run prove -- billing` */
export async function proveBilling(): Promise<Verdict> {
  console.log("Bundling the Workers");
  await prepareChaos();
  console.log("Against running stacks:");
  const running = await runChecks([chaos, prepaid, exportedAndClosed, admitted], undefined);
  console.log("By its tests:");
  const tests = await runChecks(TESTS, undefined);
  return {
    holds: running.holds && tests.holds,
    figures: { ...running.figures, ...tests.figures },
  };
}
