import { Miniflare, type V4WorkerOptions, convertV4MiniflareOptions } from "miniflare";
import { unstable_getMiniflareWorkerOptions } from "wrangler";

import { type SigningKeys, generateSigningKeys } from "../origin/signing-keys.ts";
import type { PublishTarget } from "../publish/bucket.ts";
import { keptAdminToken, randomToken } from "./admin-token.ts";
import { type BundledWorker, CONTROL, EDGE, ORIGIN, bundledModules } from "./bundle.ts";
import { freePort, freePorts } from "./free-ports.ts";
import { miniflareOptions, storeOf } from "./local-store.ts";
import { keptReceiptKey, newReceiptKey } from "./receipt-key.ts";
import { HOST } from "./state-folder.ts";

export { bundledModules, bundleWorkers } from "./bundle.ts";
export { freePort, freePorts } from "./free-ports.ts";

export interface EdgeOptions {
  /** 0 takes any free port. */
  readonly edgePort: number;
  /** Where the bucket, the namespaces and the Durable Objects live; nothing is kept when absent. */
  readonly stateFolder?: string;
  /** Bindings of the edge's `[vars]` to replace. */
  readonly vars?: Readonly<Record<string, string>>;
  /** The operator's secret. Made at random when absent, and kept where there is a state folder. */
  readonly adminToken?: string;
  /** Whether who asks too often is refused. Not when absent: all of a test's requests come from one caller. */
  readonly rateLimits?: boolean;
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

/** The edge, the control plane and the origin Worker: one bucket, one namespace, and what binds them. */
export interface LocalStack extends LocalEdge {
  readonly controlUrl: string;
  /** What the origin Worker signs with; made for this stack. */
  readonly signingKeys: SigningKeys;
}

/** Starts the bundled Workers. @throws UserError when a port is taken */
export async function startLocalStack(options: LocalStackOptions): Promise<LocalStack> {
  const [edgePort = 0, controlPort = 0] = await freePorts(
    ["edge-port", options.edgePort],
    ["control-port", options.controlPort ?? 0],
  );
  const signingKeys = await generateSigningKeys();
  const edge = await start(options, [
    {
      worker: EDGE,
      port: edgePort,
      serviceBindings: {
        ORIGIN: ORIGIN.name,
        LEDGERS: { name: CONTROL.name, entrypoint: "Ledgers" },
        STATISTICS: { name: CONTROL.name, entrypoint: "Statistics" },
      },
    },
    // Exports may go to this machine.
    { worker: CONTROL, port: controlPort, bindings: { ALLOW_PRIVATE_EXPORTS: "true" } },
    {
      worker: ORIGIN,
      // No socket: it signs what it is sent, so only the edge may send it anything.
      port: undefined,
      bindings: { SIGNING_KEY: JSON.stringify(signingKeys.privateKey) },
    },
  ]);
  return { ...edge, controlUrl: urlOf(controlPort), signingKeys };
}

/**
 * The bundled edge alone: what it tells the queue is heard by nobody, and there are no origin pools and no
 * ledgers.
 *
 * @throws UserError when the port is taken
 */
export async function startEdge(options: EdgeOptions): Promise<LocalEdge> {
  return start(options, [{ worker: EDGE, port: await freePort(options.edgePort, "edge-port") }]);
}

type ServiceBindings = Readonly<Record<string, string | { name: string; entrypoint: string }>>;

/** A Worker as it is to be started. */
interface Started {
  readonly worker: BundledWorker;
  /** Of a socket of its own; undefined for one that only the others reach. */
  readonly port: number | undefined;
  /** Other Workers of the stack, by the binding's name. */
  readonly serviceBindings?: ServiceBindings;
  readonly bindings?: Readonly<Record<string, string>>;
}

/** Whoever shows no key is answered, for nothing: it takes no account to try a model on a laptop. */
const LOCAL_EDGE = { ANONYMOUS: "allowed" } as const;

async function start(
  { stateFolder, vars, adminToken: given, rateLimits = false }: EdgeOptions,
  workers: readonly Started[],
): Promise<LocalEdge> {
  const adminToken =
    given ?? (stateFolder === undefined ? randomToken() : await keptAdminToken(stateFolder));
  const receiptKey = await (stateFolder === undefined
    ? newReceiptKey()
    : keptReceiptKey(stateFolder));
  const edgeBindings = { ...LOCAL_EDGE, RECEIPT_KEY: receiptKey, ...vars };
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      ...miniflareOptions(stateFolder),
      workers: await Promise.all(
        workers.map((one) =>
          workerOptions(
            one,
            {
              ...(one.worker === EDGE ? edgeBindings : {}),
              ...(one.worker === ORIGIN ? {} : { ADMIN_TOKEN: adminToken }),
              ...one.bindings,
            },
            rateLimits,
          ),
        ),
      ),
    }),
  );
  await miniflare.ready;
  return {
    edgeUrl: urlOf(workers.find(({ worker }) => worker === EDGE)?.port ?? 0),
    adminToken,
    target: await storeOf(miniflare, EDGE.name),
    miniflare,
    stop: () => miniflare.dispose(),
  };
}

async function workerOptions(
  { worker: { name, config, folder }, port, serviceBindings = {} }: Started,
  bindings: Readonly<Record<string, string>>,
  rateLimits: boolean,
): Promise<V4WorkerOptions> {
  const { workerOptions: declared } = unstable_getMiniflareWorkerOptions(config);
  return {
    ...declared,
    name,
    bindings: { ...(declared.bindings as object), ...bindings },
    // Those that are declared name Workers as they are deployed.
    serviceBindings: { ...serviceBindings },
    ...(!rateLimits && { ratelimits: {} }),
    modulesRoot: folder,
    modules: await bundledModules(folder),
    ...(port !== undefined && { unsafeDirectSockets: [{ host: HOST, port }] }),
  };
}

const urlOf = (port: number): string => `http://${HOST}:${port}`;
