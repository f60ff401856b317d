import path from "node:path";

import { startBridge } from "./bridge/server.ts";
import { adminTokenFile } from "./admin-token.ts";
import { freePorts } from "./free-ports.ts";
import { allModelFolders, curlLine, readExample, send } from "./examples.ts";
import { parseOptions, parsePort } from "./options.ts";
import { serve } from "./serve.ts";
import { stateFolderInUse } from "./state-folder.ts";
import { lockState, START_COMMAND, wipeState } from "./state-lock.ts";

const USAGE = "npm start -- [--edge-port N] [--control-port N] [--origin-port N] [--fresh]";

/** A command that has the bucket open is done in less. */
const LOCK_WAIT_MS = 5_000;

/** The model whose answer fits on one line. */
const SHOWN = "iris";

/** `npm start`: the local stack, until Ctrl-C. */
export async function dev(words: readonly string[]): Promise<number> {
  const options = parseOptions(
    words,
    {
      "edge-port": { type: "string", default: "8787" },
      "control-port": { type: "string", default: "8788" },
      "origin-port": { type: "string", default: "8789" },
      fresh: { type: "boolean", default: false },
    },
    USAGE,
  );
  // Before anything is wiped or waited for.
  const [edgePort = 0, controlPort = 0, originPort = 0] = await freePorts(
    ["edge-port", parsePort(options["edge-port"])],
    ["control-port", parsePort(options["control-port"])],
    ["origin-port", parsePort(options["origin-port"])],
  );
  const stateFolder = stateFolderInUse();
  const lock = await lockState(stateFolder, START_COMMAND, LOCK_WAIT_MS);
  try {
    if (options.fresh) {
      console.log("Wiping the local bucket, catalog, rollouts, accounts and secrets (--fresh)");
      await wipeState(stateFolder);
    }
    await serveUntilStopped({ edgePort, controlPort, originPort, stateFolder });
  } finally {
    await lock.release();
  }
  return 0;
}

interface Places {
  readonly edgePort: number;
  readonly controlPort: number;
  readonly originPort: number;
  readonly stateFolder: string;
}

async function serveUntilStopped(places: Places): Promise<void> {
  const { stateFolder } = places;
  const stack = await serve({ ...places, rateLimits: true }, (line) => console.log(line));
  const { controlUrl, adminToken, edgeUrl } = stack;
  const bridge = await startBridge(stack.target, stateFolder, { controlUrl, adminToken, edgeUrl });
  const stopped = untilStopped();

  const folders = await allModelFolders();
  const shown = folders.find((folder) => path.basename(folder) === SHOWN);
  if (shown !== undefined) {
    const example = await readExample(shown);
    const response = await send(stack.edgeUrl, example);
    console.log(`\nNearside answers at ${stack.edgeUrl}. Try it:\n`);
    console.log(`  ${curlLine(stack.edgeUrl, example)}\n`);
    console.log(`It answers:\n\n  ${await response.text()}\n`);
  }
  console.log(
    `The control plane answers at ${controlUrl}: npx nearside rollout --help\n` +
      `Its admin token is in ${shortest(adminTokenFile(stateFolder))}; the command line finds it by itself.\n`,
  );
  console.log(
    "Who shows no key is answered here and never billed. A key begins with an account: " +
      'npx nearside account create "Ada Ltd"\n',
  );
  console.log(
    `The development origin answers signed requests at ${stack.devOrigin.url}: npx nearside pool list\n`,
  );
  console.log(
    `Models: ${folders.map((folder) => path.basename(folder)).join(", ")}. Ctrl-C stops.`,
  );
  await stopped;
  console.log("\nStopping");
  await bridge.stop();
  await stack.stop();
}

/** A path as short as it can be typed here. */
function shortest(file: string): string {
  const relative = path.relative(process.cwd(), file);
  return relative.startsWith("..") ? file : relative;
}

/** Takes the place of Miniflare's own listeners, which end the process before anything is closed. */
function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.removeAllListeners(signal);
      process.once(signal, () => resolve());
    }
  });
}
