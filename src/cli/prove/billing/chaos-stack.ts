import { readFile } from "node:fs/promises";

import { Miniflare, type V4WorkerOptions, convertV4MiniflareOptions } from "miniflare";
import { unstable_getMiniflareWorkerOptions } from "wrangler";

import { publishFolder } from "../../../publish/publish.ts";
import { prepareRuntime } from "../../../publish/runtime.ts";
import { type BundledWorker, CONTROL, EDGE, bundledModules, bundleWorkers } from "../../bundle.ts";
import { modelFolders } from "../../examples.ts";
import { freePort } from "../../free-ports.ts";
import { miniflareOptions, storeOf } from "../../local-store.ts";
import { connectControl, type ControlClient } from "../../nearside/control-client.ts";
import { keptReceiptKey } from "../../receipt-key.ts";
import { HOST } from "../../state-folder.ts";

const ADMIN_TOKEN = "the-operator-of-the-proof";
const MODEL = "iris";

/** Between the edges and the control plane: messages are late, come again, and are dropped by their first taker. */
const CHAOS = `
export default {
  async queue({ messages }, { USAGE }) {
    for (const message of messages) {
      const luck = Math.random();
      if (luck < 0.05 && message.attempts < 4) {
        message.retry({ delaySeconds: 1 });
        continue;
      }
      const copies = luck > 0.85 ? 2 : 1;
      const sent = Array.from({ length: copies }, () => ({
        body: message.body,
        ...(Math.random() < 0.1 && { delaySeconds: 1 }),
      }));
      await USAGE.sendBatch(sent);
      message.ack();
    }
  },
};`;

/** Several isolates of the edge, a queue that misbehaves, and the control plane. */
export interface ChaosStack {
  readonly edgeUrls: readonly string[];
  readonly control: ControlClient;
  readonly controlUrl: string;
  /** Undefined where it can't be told from others. */
  readonly workerdPid: number | undefined;
  stop(): Promise<void>;
}

/** Starts it on the state of a folder, as often as it is killed. */
export async function startChaos(stateFolder: string, isolates: number): Promise<ChaosStack> {
  const receiptKey = await keptReceiptKey(stateFolder);
  const ports: number[] = [];
  for (let isolate = 0; isolate < isolates + 1; isolate++) ports.push(await freePort(0));
  const [controlPort = 0, ...edgePorts] = ports;
  const edge = unstable_getMiniflareWorkerOptions(EDGE.config).workerOptions;
  const control = unstable_getMiniflareWorkerOptions(CONTROL.config).workerOptions;
  const edgeModules = await bundleOf(EDGE);
  const workers: V4WorkerOptions[] = [
    {
      ...control,
      ...(await bundleOf(CONTROL)),
      name: CONTROL.name,
      bindings: {
        ...(control.bindings as object),
        ADMIN_TOKEN,
        ALLOW_PRIVATE_EXPORTS: "true",
        EXPORT_STRIPE: "rk_test_1",
      },
      unsafeDirectSockets: [{ host: HOST, port: controlPort }],
    },
    {
      name: "chaos",
      modules: true,
      script: CHAOS,
      queueProducers: { USAGE: "usage" },
      queueConsumers: { "usage-raw": { maxBatchSize: 100, maxBatchTimeout: 0.2, maxRetries: 20 } },
    },
    ...edgePorts.map((port, at): V4WorkerOptions => ({
      ...edge,
      ...edgeModules,
      name: `edge-${at}`,
      bindings: { ...(edge.bindings as object), RECEIPT_KEY: receiptKey, ANONYMOUS: "refused" },
      serviceBindings: { LEDGERS: { name: CONTROL.name, entrypoint: "Ledgers" } },
      queueProducers: { USAGE: "usage-raw" },
      ratelimits: {},
      unsafeDirectSockets: [{ host: HOST, port }],
    })),
  ];
  const before = await workerds();
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({ ...miniflareOptions(stateFolder), workers }),
  );
  await miniflare.ready;
  const pid = (await workerds()).find((one) => !before.includes(one));
  const controlUrl = `http://${HOST}:${controlPort}`;
  const folder = (await modelFolders()).find((one) => one.endsWith(MODEL));
  const target = await storeOf(miniflare, CONTROL.name);
  if (folder !== undefined) await publishFolder(folder, target, () => {}, { replace: true });
  return {
    edgeUrls: edgePorts.map((port) => `http://${HOST}:${port}`),
    control: connectControl({ url: controlUrl, token: ADMIN_TOKEN, actor: "prove" }),
    controlUrl,
    workerdPid: pid,
    stop: () => miniflare.dispose(),
  };
}

async function bundleOf({ folder }: BundledWorker) {
  return { modulesRoot: folder, modules: await bundledModules(folder) };
}

export async function prepareChaos(): Promise<void> {
  await prepareRuntime();
  await bundleWorkers();
}

/** Children of this process that are workerd. Linux only. */
async function workerds(): Promise<number[]> {
  const children = await read(`/proc/${process.pid}/task/${process.pid}/children`);
  const pids = children.trim().split(" ").filter(Boolean).map(Number);
  const names = await Promise.all(pids.map((pid) => read(`/proc/${pid}/comm`)));
  return pids.filter((_, at) => names[at]?.trim() === "workerd");
}

const read = (path: string): Promise<string> => readFile(path, "utf8").catch(() => "");
