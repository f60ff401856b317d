import { createServer } from "node:net";

import { Miniflare, type V4WorkerOptions, convertV4MiniflareOptions } from "miniflare";
import { unstable_getMiniflareWorkerOptions } from "wrangler";

import type { PublishTarget } from "../publish/bucket.ts";
import { keptAdminToken, randomToken } from "./admin-token.ts";
import { type BundledWorker, CONTROL, EDGE, bundledModules } from "./bundle.ts";
import { miniflareOptions, storeOf } from "./local-store.ts";
import { HOST } from "./state-folder.ts";
import { UserError } from "./user-error.ts";

export { bundledModules, bundleWorkers } from "./bundle.ts";

export interface EdgeOptions {
  /** 0 takes any free port. */
  readonly edgePort: number;
  /** Where the bucket, the namespaces and the Durable Objects live; nothing is kept when absent. */
  readonly stateFolder?: string;
  /** Bindings of the edge's `[vars]` to replace. */
  readonly vars?: Readonly<Record<string, string>>;
  /** The operator's secret. Made at random when absent, and kept where there is a state folder. */
  readonly adminToken?: string;
}

export interface LocalStackOptions extends EdgeOptions {
  /** 0, or nothing, takes any free port. */
  readonly controlPort?: number;
}

/** The edge Worker in workerd, with Miniflare's R2, KV and cache around it. */
export interface LocalEdge {
  /** workerd's own socket: no development proxy in between. */
  readonly edgeUrl: string;
  readonly adminToken: string;
  readonly target: PublishTarget;
  readonly miniflare: Miniflare;
  stop(): Promise<void>;
}

/** The edge and the control plane: one bucket, one namespace, and the queue between them. */
export interface LocalStack extends LocalEdge {
  readonly controlUrl: string;
}

/** Starts both bundled Workers. @throws UserError when a port is taken */
export async function startLocalStack(options: LocalStackOptions): Promise<LocalStack> {
  const [edgePort, controlPort] = await freePorts(options.edgePort, options.controlPort ?? 0);
  const edge = await start(options, [
    [EDGE, edgePort],
    [CONTROL, controlPort],
  ]);
  return { ...edge, controlUrl: urlOf(controlPort) };
}

/** The bundled edge alone: what it tells the queue is heard by nobody. @throws UserError when the port is taken */
export async function startEdge(options: EdgeOptions): Promise<LocalEdge> {
  return start(options, [[EDGE, await freePort(options.edgePort, "edge-port")]]);
}

async function start(
  { stateFolder, vars, adminToken: given }: EdgeOptions,
  workers: readonly (readonly [BundledWorker, number])[],
): Promise<LocalEdge> {
  const adminToken =
    given ?? (stateFolder === undefined ? randomToken() : await keptAdminToken(stateFolder));
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      ...miniflareOptions(stateFolder),
      workers: await Promise.all(
        workers.map(([worker, port]) =>
          workerOptions(worker, port, {
            ...(worker === EDGE ? vars : {}),
            ADMIN_TOKEN: adminToken,
          }),
        ),
      ),
    }),
  );
  await miniflare.ready;
  const [, edgePort] = workers.find(([worker]) => worker === EDGE) ?? [EDGE, 0];
  return {
    edgeUrl: urlOf(edgePort),
    adminToken,
    target: await storeOf(miniflare, EDGE.name),
    miniflare,
    stop: () => miniflare.dispose(),
  };
}

async function workerOptions(
  { name, config, folder }: BundledWorker,
  port: number,
  bindings: Readonly<Record<string, string>>,
): Promise<V4WorkerOptions> {
  const { workerOptions: declared } = unstable_getMiniflareWorkerOptions(config);
  return {
    ...declared,
    name,
    bindings: { ...(declared.bindings as object), ...bindings },
    modulesRoot: folder,
    modules: await bundledModules(folder),
    unsafeDirectSockets: [{ host: HOST, port }],
  };
}

const urlOf = (port: number): string => `http://${HOST}:${port}`;

/** Both ports as they will be: free, and not the same. */
export async function freePorts(edgePort: number, controlPort: number): Promise<[number, number]> {
  if (edgePort !== 0 && edgePort === controlPort) {
    throw new UserError(
      `--edge-port and --control-port are both ${edgePort}. Each Worker needs a port of its own.`,
    );
  }
  const edge = await freePort(edgePort, "edge-port");
  for (;;) {
    const control = await freePort(controlPort, "control-port");
    if (control !== edge) return [edge, control];
    if (controlPort !== 0) return freePorts(edgePort, controlPort);
  }
}

/** The port if it is free, or any free one for 0. @param option the option of `npm start` that chooses it */
export function freePort(port: number, option = "edge-port"): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", () => {
      const other = port + 10 <= 65_535 ? port + 10 : port - 10;
      reject(
        new UserError(
          `Port ${port} is taken. Stop what listens there, or choose another: npm start -- --${option} ${other}`,
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
