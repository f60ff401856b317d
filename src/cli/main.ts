import { UserError } from "./user-error.ts";

/** What each npm script, and `npx nearside`, runs. A module is loaded only when its command is. */
const COMMANDS: Readonly<Record<string, (words: readonly string[]) => Promise<number>>> = {
  dev: async (words) => (await import("./dev.ts")).dev(words),
  demo: async (words) => (await import("./demo.ts")).demo(words),
  test: async (words) => (await import("./checks.ts")).test(words),
  coverage: async (words) => (await import("./checks.ts")).coverage(words),
  check: async () => (await import("./checks.ts")).check(),
  format: async () => (await import("./checks.ts")).format(),
  fixtures: async (words) => (await import("./fixtures.ts")).fixtures(words),
  bench: async (words) => (await import("../../test/bench/main.ts")).bench(words),
  prove: async (words) => (await import("./prove/main.ts")).prove(words),
  interop: async (words) => (await import("./interop.ts")).interop(words),
  nearside: async (words) => {
    // The bootstrap starts everything in the repository's root; paths are meant from where they were typed.
    process.chdir(process.env["NEARSIDE_TYPED_IN"] ?? process.cwd());
    return (await import("./nearside/main.ts")).nearside(words);
  },
  "build-client": async () => (await import("./build-client.ts")).buildClient(),
  "build-runtime": async () => {
    await (await import("../publish/runtime.ts")).prepareRuntime();
    await (await import("../publish/docs.ts")).prepareDocs();
    return 0;
  },
};

const [name = "", ...words] = process.argv.slice(2);
const command = COMMANDS[name];
if (command === undefined) {
  console.error(`There is no command "${name}"; there are ${Object.keys(COMMANDS).join(", ")}.`);
  process.exitCode = 2;
} else {
  try {
    process.exitCode = await command(words);
  } catch (error) {
    // What a person can mend is said in a sentence; anything else is a defect, with its stack.
    console.error(error instanceof UserError ? `\n${error.message}` : error);
    process.exitCode = 1;
  }
}
