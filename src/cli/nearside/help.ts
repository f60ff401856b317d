import type { Command } from "./command.ts";

const COMMON = `  --json     the result as one JSON document on the standard output, and nothing else there
  --remote   the bucket of your Cloudflare account instead of the one of this machine
  --help     what the command does, with examples`;

/** What `nearside --help` prints. */
export function overview(commands: Readonly<Record<string, Command>>): string {
  const names = Object.keys(commands);
  const width = Math.max(...names.map((name) => name.length));
  const lines = Object.entries(commands).map(
    ([name, { summary }]) => `  ${name.padEnd(width)}   ${summary}`,
  );
  return `Publishes models and looks after the bucket that holds them.

Usage: nearside <command> [options]

Commands:
${lines.join("\n")}

Options of every command:
${COMMON}

Examples:
  npx nearside models                    what is published on this machine
  npx nearside models show minilm        one model, with all its blobs
  npx nearside verify minilm --remote    reads what your account holds, and hashes it
  npx nearside gc                        what could be removed; nothing is

The bucket of this machine is the one that \`npm start\` serves, whether that is running or not.
NEARSIDE_STATE=<folder> names another one.

Exit codes: 0 done; 1 something failed, or what was asked for does not hold; 2 the words made no sense.`;
}

/** What `nearside <command> --help` prints. */
export function helpOf(command: Command): string {
  return `${command.summary.replace(/^./, (letter) => letter.toUpperCase())}.

Usage: nearside ${command.usage}

${command.help.trim()}

Options of every command:
${COMMON}`;
}
