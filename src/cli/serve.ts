import { prepareRuntime } from "../publish/runtime.ts";
import { publishFolder } from "../publish/publish.ts";
import { modelFolders } from "./examples.ts";
import {
  type LocalStack,
  type LocalStackOptions,
  bundleWorkers,
  startLocalStack,
} from "./local-stack.ts";

/** Prepares everything, starts the stack and publishes the models that ship. */
export async function serve(
  options: LocalStackOptions,
  say: (line: string) => void,
): Promise<LocalStack> {
  say("Preparing the runtime");
  await prepareRuntime();
  say("Bundling the Workers");
  await bundleWorkers();
  say("Starting workerd");
  const stack = await startLocalStack(options);
  try {
    say("Publishing the models that ship (the first time they are built, which takes a minute)");
    for (const folder of await modelFolders()) {
      await publishFolder(folder, stack.target, (line) => say(`  ${line}`), {
        replace: true,
      });
    }
    return stack;
  } catch (error) {
    await stack.stop();
    throw error;
  }
}
