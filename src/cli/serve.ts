import { type DevOrigin, startDevOrigin } from "../dev-origin/server.ts";
import { prepareRuntime } from "../publish/runtime.ts";
import { publishFolder } from "../publish/publish.ts";
import { ORIGIN } from "./bundle.ts";
import { publishDevPools } from "./dev-pools.ts";
import { allModelFolders } from "./examples.ts";
import { publishSampleCorpus } from "./sample-corpus.ts";
import {
  type LocalStack,
  type LocalStackOptions,
  bundleWorkers,
  startLocalStack,
} from "./local-stack.ts";

const EVERY_MINUTE = "* * * * *";
const MINUTE_MS = 60_000;

export interface ServeOptions extends LocalStackOptions {
  /** Of the development origin; 0, or nothing, takes any free port. */
  readonly originPort?: number;
}

/** The stack, and an origin for it to forward to. */
export interface ServedStack extends LocalStack {
  readonly devOrigin: DevOrigin;
}

/** Prepares everything, starts the stack and the development origin, and publishes the models that ship. */
export async function serve(
  options: ServeOptions,
  say: (line: string) => void,
): Promise<ServedStack> {
  say("Preparing the runtime");
  await prepareRuntime();
  say("Bundling the Workers");
  await bundleWorkers();
  say("Starting workerd");
  const stack = await startLocalStack(options);
  let devOrigin: DevOrigin | undefined;
  try {
    const { keyId, publicKey } = stack.signingKeys;
    devOrigin = await startDevOrigin({
      port: options.originPort ?? 0,
      bucket: stack.target.bucket,
      keys: new Map([[keyId, publicKey]]),
      onError: (error) => console.error("The development origin:", error),
    });
    say("Publishing the models that ship (the first time they are built, which takes a minute)");
    for (const folder of await allModelFolders()) {
      await publishFolder(folder, stack.target, (line) => say(`  ${line}`), {
        replace: true,
        originBuild: true,
      });
    }
    await publishSampleCorpus(stack.target, (line) => say(`  ${line}`));
    await publishDevPools(stack.target, devOrigin.url);
    const cron = await startCron(stack);
    return {
      ...stack,
      devOrigin,
      async stop() {
        cron.stop();
        await stopBoth(stack, devOrigin);
      },
    };
  } catch (error) {
    await stopBoth(stack, devOrigin);
    throw error;
  }
}

/** The origin first: it reads the stack's bucket. */
async function stopBoth(stack: LocalStack, devOrigin: DevOrigin | undefined): Promise<void> {
  await devOrigin?.stop();
  await stack.stop();
}

/** What Cloudflare does by `[triggers]`, and Miniflare leaves to others: the health checks of the pools. */
async function startCron({ miniflare }: LocalStack): Promise<{ stop(): void }> {
  const worker = await miniflare.getWorker(ORIGIN.name);
  const check = async (): Promise<void> => void (await worker.scheduled({ cron: EVERY_MINUTE }));
  await check();
  const timer = setInterval(() => void check().catch(() => {}), MINUTE_MS);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
