import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";

import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { unstable_getMiniflareWorkerOptions } from "wrangler";

import type { PublishTarget } from "../publish/bucket.ts";
import { GENERATED } from "../publish/workspace.ts";
import { EDGE_CONFIG, miniflareOptions, storeOf } from "./local-store.ts";
import { runQuietly } from "./processes.ts";
import { HOST } from "./state-folder.ts";
import { UserError } from "./user-error.ts";

export interface LocalStackOptions {
  /** 0 takes any free port. */
  readonly edgePort: number;
  /** Where the bucket and the namespaces live; nothing is kept when absent. */
  readonly stateFolder?: string;
  /** Bindings of `[vars]` to replace. */
  readonly vars?: Readonly<Record<string, string>>;
}

/** The Workers of this repository in workerd, with Miniflare's R2, KV and cache around them. */
export interface LocalStack {
  /** workerd's own socket: no development proxy in between. */
  readonly edgeUrl: string;
  readonly target: PublishTarget;
  readonly miniflare: Miniflare;
  stop(): Promise<void>;
}

const EDGE_BUNDLE = path.join(GENERATED, "bundle", "edge");

/**
 * Bundles the Workers as they would be deployed. Each file is renamed into place, so that whoever starts
 * from the same sources at the same time never reads half of one.
 */
export async function bundleWorkers(): Promise<void> {
  await mkdir(EDGE_BUNDLE, { recursive: true });
  const fresh = await mkdtemp(`${EDGE_BUNDLE}-`);
  try {
    const words = ["deploy", "--dry-run", "--config", EDGE_CONFIG, "--outdir", fresh];
    await runQuietly("wrangler", words);
    const files = await readdir(fresh);
    for (const file of files) {
      await rename(path.join(fresh, file), path.join(EDGE_BUNDLE, file));
    }
    const old = (await readdir(EDGE_BUNDLE)).filter((file) => !files.includes(file));
    for (const file of old)
      await rm(path.join(EDGE_BUNDLE, file), { recursive: true, force: true });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** Starts the bundled Workers. @throws UserError when the port is taken */
export async function startLocalStack(options: LocalStackOptions): Promise<LocalStack> {
  const edgePort = await freePort(options.edgePort);
  const { workerOptions } = unstable_getMiniflareWorkerOptions(EDGE_CONFIG);
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      ...miniflareOptions(options.stateFolder),
      workers: [
        {
          ...workerOptions,
          name: "edge",
          bindings: { ...(workerOptions.bindings as object), ...options.vars },
          modulesRoot: EDGE_BUNDLE,
          modules: await bundledModules(EDGE_BUNDLE),
          unsafeDirectSockets: [{ host: HOST, port: edgePort }],
        },
      ],
    }),
  );
  await miniflare.ready;
  return {
    edgeUrl: `http://${HOST}:${edgePort}`,
    target: await storeOf(miniflare, "edge"),
    miniflare,
    stop: () => miniflare.dispose(),
  };
}

/** The files of a bundle, as Miniflare takes them. */
export async function bundledModules(folder: string) {
  const files = await readdir(folder);
  return [
    { type: "ESModule" as const, path: path.join(folder, "index.js") },
    ...files
      .filter((file) => file.endsWith(".wasm"))
      .map((file) => ({ type: "CompiledWasm" as const, path: path.join(folder, file) })),
  ];
}

/** The port if it is free, or any free one for 0. */
export function freePort(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", () => {
      reject(
        new UserError(
          `Port ${port} is taken. Stop what listens there, or choose another: npm start -- --edge-port ${port + 10}`,
        ),
      );
    });
    probe.listen(port, HOST, () => {
      const address = probe.address();
      const taken = typeof address === "object" && address !== null ? address.port : port;
      probe.close(() => resolve(taken));
    });
  });
}
