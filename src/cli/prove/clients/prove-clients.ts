import { bundleWorkers } from "../../local-stack.ts";
import { prepareRuntime } from "../../../publish/runtime.ts";
import { type Verdict, runChecks } from "../check.ts";
import { testsPass } from "../tests-pass.ts";
import { browser } from "./browser.ts";
import { nearest } from "./nearest.ts";
import { pages } from "./pages.ts";
import { wireCosts } from "./wire-costs.ts";

const TESTS = [
  testsPass(
    "unchanged, against the running stack: openai, @huggingface/inference, a client of the V2 document; the SDK in Node and Chromium",
    "e2e",
    ["clients", "client"].map((name) => `test/e2e/${name}.test.ts`),
    "clientTestsPassed",
  ),
  testsPass(
    "the SDK's suite passes in workerd",
    "control",
    ["test/workerd/control/client.test.ts"],
    "sdkInWorkerdTestsPassed",
  ),
  testsPass(
    "requirement by requirement: the protocol and its extensions; binary requests that lie are refused, and harm nobody; no tensor is copied twice",
    "workerd",
    ["test/workerd/conformance", "hostile-tensors", "tensor-copies", "compression"],
    "conformanceTestsPassed",
  ),
];

/** `npm run prove -- clients` */
export async function proveClients(): Promise<Verdict> {
  console.log("Bundling the Workers");
  await prepareRuntime();
  await bundleWorkers();
  console.log("Against running stacks:");
  const running = await runChecks([browser, wireCosts, nearest, pages], undefined);
  console.log("By its tests:");
  const tests = await runChecks(TESTS, undefined);
  return {
    holds: running.holds && tests.holds,
    figures: { ...running.figures, ...tests.figures },
  };
}
