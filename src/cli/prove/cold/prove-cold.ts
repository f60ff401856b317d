import { type Verdict, runChecks } from "../check.ts";
import { testsPass } from "../tests-pass.ts";
import { coldStarts } from "./cold-starts.ts";
import { publishedStrangers } from "./published-strangers.ts";
import { warmOverhead } from "./warm-overhead.ts";

/** `npm run prove -- cold` */
export async function proveCold(): Promise<Verdict> {
  console.log("Measured in fresh isolates of real workerd:");
  const measured = await runChecks([coldStarts, warmOverhead], undefined);
  console.log("Bit for bit, and damaged in every way:");
  const tested = await runChecks(
    [
      testsPass(
        "fixtures and random graphs are bit-identical after restore in Node; the format refuses all else",
        "node",
        ["test/runtime/snapshot", "test/publish/snapshot"],
        "nodeTestsPassed",
      ),
      testsPass(
        "in workerd, too; every damage ends in a right answer or a coded error",
        "workerd",
        ["test/workerd/runtime"],
        "workerdTestsPassed",
      ),
    ],
    undefined,
  );
  console.log("Published through the gate:");
  const published = await runChecks([publishedStrangers], undefined);
  return {
    holds: measured.holds && tested.holds && published.holds,
    figures: { ...measured.figures, ...tested.figures, ...published.figures },
  };
}
