import { serve } from "../../serve.ts";
import { type Verdict, runChecks } from "../check.ts";
import { testsPass } from "../tests-pass.ts";
import { commands } from "./commands.ts";
import { brokenCatalog, catalogReachesEdge } from "./propagation.ts";
import { goodVersion, worseVersion } from "./rollouts.ts";
import { subjectOf } from "./subject.ts";

const RUNNING = [commands, worseVersion, goodVersion, catalogReachesEdge, brokenCatalog];

const TESTS = [
  testsPass(
    "flagd's documented examples give the documented results; flags never throw and never choose an undefined version; 1,000 rollouts of identical versions raise at most 1 % false alarms",
    "node",
    ["test/routing", "test/rollout", "test/catalog"],
    "routingTestsPassed",
  ),
  testsPass(
    "in workerd: flags, exposure events, shadows that are unbilled and harm no answer",
    "workerd",
    ["flags", "usage", "shadow"].map((name) => `test/workerd/edge/${name}.test.ts`),
    "edgeTestsPassed",
  ),
  testsPass(
    "in workerd: the control plane, two operators at once, crashes, and both rollouts with the clock advanced",
    "control",
    [
      "live-rollout",
      "rollouts",
      "changes",
      "catalogs",
      "precondition",
      "reconcile",
      "usage-queue",
    ].map((name) => `test/workerd/control/${name}.test.ts`),
    "controlTestsPassed",
  ),
];

/** `npm run prove -- rollout` */
export async function proveRollout(): Promise<Verdict> {
  console.log("Against a running stack:");
  const stack = await serve({ edgePort: 0 }, (line) => say(`  ${line}`));
  const running = await subjectOf(stack, say)
    .then((subject) => runChecks(RUNNING, subject))
    .finally(() => stack.stop());
  console.log("By its tests:");
  const tests = await runChecks(TESTS, undefined);
  return {
    holds: running.holds && tests.holds,
    figures: { ...running.figures, ...tests.figures },
  };
}

function say(line: string): void {
  console.log(line);
}
