import { rm } from "node:fs/promises";
import path from "node:path";

import { GENERATED } from "../publish/workspace.ts";
import { curlLine, modelFolders, readExample, send } from "./examples.ts";
import { parseOptions, parsePort } from "./options.ts";
import { serve } from "./serve.ts";

const USAGE = "npm start -- [--edge-port N] [--fresh]";
const STATE = path.join(GENERATED, "state");

/** The model whose answer fits on one line. */
const SHOWN = "iris";

/** `npm start`: the local stack, until Ctrl-C. */
export async function dev(words: readonly string[]): Promise<number> {
  const options = parseOptions(
    words,
    {
      "edge-port": { type: "string", default: "8787" },
      fresh: { type: "boolean", default: false },
    },
    USAGE,
  );
  const edgePort = parsePort(options["edge-port"]);
  if (options.fresh) {
    console.log("Wiping the local bucket and catalog (--fresh)");
    await rm(STATE, { recursive: true, force: true });
  }
  const stopped = untilStopped();
  const stack = await serve({ edgePort, stateFolder: STATE }, (line) => console.log(line));

  const folders = await modelFolders();
  const shown = folders.find((folder) => path.basename(folder) === SHOWN);
  if (shown !== undefined) {
    const example = await readExample(shown);
    const response = await send(stack.edgeUrl, example);
    console.log(`\nNearside answers at ${stack.edgeUrl}. Try it:\n`);
    console.log(`  ${curlLine(stack.edgeUrl, example)}\n`);
    console.log(`It answers:\n\n  ${await response.text()}\n`);
  }
  console.log(
    `Models: ${folders.map((folder) => path.basename(folder)).join(", ")}. Ctrl-C stops.`,
  );
  await stopped;
  console.log("\nStopping");
  await stack.stop();
  return 0;
}

function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.once(signal, () => resolve());
    }
  });
}
