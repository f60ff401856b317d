import type { Command } from "./command.ts";

const COMMON = `  --json     the result as one JSON document on the standard output, and nothing else there
  --remote   your Cloudflare account instead of this machine
  --help     what the command does, with examples`;

/** What `nearside --help` prints. */
export function overview(commands: Readonly<Record<string, Command>>): string {
  return `Publishes models, looks after the bucket that holds them, decides which version answers whom, and
bills who asks.

Usage: nearside <command> [options]

Commands:
${listOf(commands)}

Options of every command:
${COMMON}

Examples:
  npx nearside models                    what is published on this machine
  npx nearside models show minilm        one model, with all its blobs
  npx nearside verify minilm --remote    reads what your account holds, and hashes it
  npx nearside gc                        what could be removed; nothing is
  npx nearside corpus publish faq.jsonl --name faq --model minilm
  npx nearside flag set minilm --split 2=10      a tenth of the callers gets version 2
  npx nearside rollout start minilm 2    1 % of them, then more, and back by itself when it is worse
  npx nearside account create "Ada Ltd"  who pays; key create, credit, usage and statement follow
  npx nearside audit                     who changed what

publish, models, corpus, verify and gc work on the bucket that \`npm start\` serves, whether that is running or not;
NEARSIDE_STATE=<folder> names another one. The other commands ask the control plane: that of the running
\`npm start\`, or the one that NEARSIDE_CONTROL_URL and NEARSIDE_ADMIN_TOKEN name (with --remote, only that).
NEARSIDE_ACTOR is the name that the audit log gets, instead of yours on this machine.

Exit codes: 0 done; 1 something failed, or what was asked for does not hold; 2 the words made no sense.`;
}

/** What `nearside rollout --help` prints. */
export function familyHelp(family: string, commands: Readonly<Record<string, Command>>): string {
  return `Usage: nearside ${family} <command> [options]

Commands:
${listOf(commands)}

\`nearside ${Object.keys(commands)[0]} --help\` and its like teach each, with examples.`;
}

function listOf(commands: Readonly<Record<string, Command>>): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  return Object.entries(commands)
    .map(([name, { summary }]) => `  ${name.padEnd(width)}   ${summary}`)
    .join("\n");
}

/** What `nearside <command> --help` prints. */
export function helpOf(command: Command): string {
  return `${command.summary.replace(/^./, (letter) => letter.toUpperCase())}.

Usage: nearside ${command.usage}

${command.help.trim()}

Options of every command:
${COMMON}`;
}
