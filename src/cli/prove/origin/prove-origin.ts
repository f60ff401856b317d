import { serve } from "../../serve.ts";
import { type Verdict, runChecks } from "../check.ts";
import { testsPass } from "../tests-pass.ts";
import { brokenEndpoints } from "./broken-endpoints.ts";
import { forwarding, simulation } from "./forwarding.ts";
import { placed } from "./placed.ts";
import { signatures } from "./signatures.ts";
import { streams } from "./streams.ts";

const TESTS = [
  testsPass(
    "properties of balancer, breaker, budget, admission and signatures hold in simulated time; placement is total",
    "node",
    ["test/origin", "test/routing/placement.test.ts", "test/dev-origin"],
    "originTestsPassed",
  ),
];

/** `npm run prove -- origin` */
export async function proveOrigin(): Promise<Verdict> {
  console.log("Against a running stack:");
  const stack = await serve({ edgePort: 0 }, (line) => console.log(`  ${line}`));
  const running = await runChecks([placed, streams, signatures], stack).finally(() => stack.stop());
  console.log("Against the origin Worker alone:");
  const alone = await runChecks([brokenEndpoints, forwarding, simulation], undefined);
  console.log("By its tests:");
  const tests = await runChecks(TESTS, undefined);
  return {
    holds: running.holds && alone.holds && tests.holds,
    figures: { ...running.figures, ...alone.figures, ...tests.figures },
  };
}
