import type { TestProject } from "vitest/node";

import { prepareDocs } from "../src/publish/docs.ts";
import { prepareRuntime } from "../src/publish/runtime.ts";
import { storeGuesslang } from "./support/guesslang-files.ts";
import { storeShipped } from "./support/shipped-files.ts";
import { storeSnapshots } from "./support/snapshot-cases.ts";

const OLDEST_NODE = [22, 12] as const;

/** Makes what the tests need, and refuses a Node that is too old before anything else fails obscurely. */
export default async function setup({ name }: TestProject): Promise<void> {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
    throw new Error(
      `Nearside needs Node ${OLDEST_NODE.join(".")} or newer; this is ${process.versions.node}. ` +
        "Run the tests with `npm test`, which brings its own Node on Linux x64.",
    );
  }
  await prepareRuntime();
  await prepareDocs();
  if (name === "workerd") await storeSnapshots();
  if (name === "control") await storeGuesslang();
  if (name === "control") await storeShipped();
}
