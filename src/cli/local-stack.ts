import { readdir } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";

import { LogLevel, Log, Miniflare, convertV4MiniflareOptions } from "miniflare";
import { unstable_getMiniflareWorkerOptions } from "wrangler";

import type { PublishTarget } from "../publish/bucket.ts";
import { GENERATED, ROOT } from "../publish/workspace.ts";
import { runQuietly } from "./processes.ts";
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

const HOST = "127.0.0.1";
const EDGE_CONFIG = path.join(ROOT, "wrangler.toml");
const EDGE_BUNDLE = path.join(GENERATED, "bundle", "edge");

/** Bundles the Workers as they would be deployed. */
export async function bundleWorkers(): Promise<void> {
  await runQuietly("wrangler", [
    "deploy",
    "--dry-run",
    "--config",
    EDGE_CONFIG,
    "--outdir",
    EDGE_BUNDLE,
  ]);
}

/** Starts the bundled Workers. @throws UserError when the port is taken */
export async function startLocalStack(options: LocalStackOptions): Promise<LocalStack> {
  const edgePort = await freePort(options.edgePort);
  const { workerOptions } = unstable_getMiniflareWorkerOptions(EDGE_CONFIG);
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: HOST,
      port: 0,
      cf: false,
      log: new Log(LogLevel.WARN),
      telemetry: { enabled: false },
      ...(options.stateFolder === undefined
        ? {}
        : { resourcePersistencePath: options.stateFolder }),
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
    target: {
      bucket: (await miniflare.getR2Bucket("MODELS", "edge")) as unknown as PublishTarget["bucket"],
      namespace: (await miniflare.getKVNamespace(
        "CATALOG",
        "edge",
      )) as unknown as PublishTarget["namespace"],
    },
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
