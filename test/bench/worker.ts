import { rm } from "node:fs/promises";
import path from "node:path";

import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";

import { bundledModules, freePort } from "../../src/cli/local-stack.ts";
import { runQuietly } from "../../src/cli/processes.ts";
import { GENERATED, ROOT } from "../../src/publish/workspace.ts";

const HOST = "127.0.0.1";

/** Bundles a Worker of the bench as it would be deployed. @returns the folder */
export async function bundleBenchWorker(name: string): Promise<string> {
  const folder = path.join(GENERATED, "bundle", `bench-${name}`);
  await rm(folder, { recursive: true, force: true });
  const config = path.join(ROOT, "test/bench/workers", name, "wrangler.toml");
  await runQuietly("wrangler", ["deploy", "--dry-run", "--config", config, "--outdir", folder]);
  return folder;
}

export interface BenchWorker {
  /** workerd's own socket. */
  readonly url: string;
  readonly miniflare: Miniflare;
  stop(): Promise<void>;
}

/** A process of workerd with one Worker in a fresh isolate. */
export async function startBenchWorker(
  folder: string,
  stateFolder: string | undefined,
): Promise<BenchWorker> {
  const port = await freePort(0);
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: HOST,
      port: 0,
      cf: false,
      log: new Log(LogLevel.WARN),
      telemetry: { enabled: false },
      ...(stateFolder === undefined ? {} : { resourcePersistencePath: stateFolder }),
      workers: [
        {
          name: "bench",
          compatibilityDate: "2026-10-01",
          modulesRoot: folder,
          modules: await bundledModules(folder),
          r2Buckets: { MODELS: "bench-models" },
          unsafeDirectSockets: [{ host: HOST, port }],
        },
      ],
    }),
  );
  await miniflare.ready;
  return { url: `http://${HOST}:${port}`, miniflare, stop: () => miniflare.dispose() };
}
