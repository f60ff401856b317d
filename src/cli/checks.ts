import { run } from "./processes.ts";

/** `npm test`: the checks, then all tests. With arguments for vitest, only the tests that they choose. */
export async function test(words: readonly string[]): Promise<number> {
  const checked = words.length > 0 ? 0 : await check();
  const tested = await run("vitest", ["run", ...words]);
  return checked === 0 ? tested : checked;
}

/** `npm run coverage`: all tests with coverage; with arguments for vitest, only those that they choose. */
export async function coverage(words: readonly string[]): Promise<number> {
  return run("vitest", ["run", "--coverage", ...words]);
}

/** `npm run check`: types, lint, format. */
export async function check(): Promise<number> {
  const steps = [
    ["Types", "tsc", ["--noEmit"]],
    ["Lint", "oxlint", ["--deny-warnings"]],
    ["Format", "oxfmt", ["--check"]],
  ] as const;
  let failed = 0;
  for (const [title, command, words] of steps) {
    console.log(`${title}: ${command} ${words.join(" ")}`);
    if ((await run(command, words)) !== 0) failed++;
  }
  if (failed > 0) console.error("\nFormat is mended by `npm run format`; the rest is yours.");
  return failed === 0 ? 0 : 1;
}

/** `npm run format` */
export async function format(): Promise<number> {
  return run("oxfmt", []);
}
