import { NearsideError } from "../../errors.ts";
import { PublishError } from "../../publish/error.ts";
import { openTarget, type Target } from "../target.ts";
import { UserError } from "../user-error.ts";
import type { Command, CommandContext } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { helpOf, overview } from "./help.ts";
import { findCommand, parseWords } from "./parse.ts";
import { UsageError } from "./usage-error.ts";

/** What the command line reaches the world through. */
export interface Surroundings {
  out(text: string): void;
  err(text: string): void;
  open(remote: boolean, command: string): Promise<Target>;
}

const TERMINAL: Surroundings = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  open: (remote, command) => openTarget({ remote, command }),
};

/** `npx nearside …`. @returns the exit code: 0, 1 for what failed, 2 for words that make no sense */
export async function nearside(
  words: readonly string[],
  surroundings: Surroundings = TERMINAL,
): Promise<number> {
  const end = words.indexOf("--");
  const json = words.slice(0, end === -1 ? words.length : end).includes("--json");
  try {
    const { text, value, exitCode } = await runWords(words, json, surroundings);
    surroundings.out(json ? `${JSON.stringify(value, undefined, 2)}\n` : `${text}\n`);
    return exitCode;
  } catch (error) {
    if (json) surroundings.out(`${JSON.stringify({ error: wireError(error) }, undefined, 2)}\n`);
    const isExpected =
      error instanceof UserError || error instanceof NearsideError || error instanceof PublishError;
    // What a person can mend is said in a sentence; anything else is a defect, with its stack.
    if (!isExpected) surroundings.err(`${stackOf(error)}\n`);
    else if (!json) surroundings.err(`${error.message}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

interface Outcome {
  readonly value: unknown;
  readonly text: string;
  readonly exitCode: number;
}

async function runWords(
  words: readonly string[],
  json: boolean,
  surroundings: Surroundings,
): Promise<Outcome> {
  const { name, rest } = findCommand(words, Object.keys(COMMANDS));
  const load = name === undefined ? undefined : COMMANDS[name];
  if (name === undefined || load === undefined) return topLevel(rest);
  const command = await load();
  const { words: given, options } = parseWords(name, command, rest);
  if (options["help"]) return helpOutcome(helpOf(command), { usage: command.usage });
  return runCommand(name, command, given, options, json, surroundings);
}

/** No command: help when it is asked for, and as an error otherwise. */
async function topLevel(rest: readonly string[]): Promise<Outcome> {
  const commands: Record<string, Command> = {};
  for (const [name, load] of Object.entries(COMMANDS)) commands[name] = await load();
  const text = overview(commands);
  const other = rest.find((word) => !["--help", "-h", "--json"].includes(word));
  if (other !== undefined) {
    throw new UsageError(`"${other}" comes after a command. \`nearside --help\` lists them.`);
  }
  if (!rest.includes("--help") && !rest.includes("-h")) {
    throw new UsageError(`There is no command.\n\n${text}`);
  }
  const summaries = Object.entries(commands).map(([name, { summary }]) => [name, summary]);
  return helpOutcome(text, { commands: Object.fromEntries(summaries) as Record<string, string> });
}

const helpOutcome = (text: string, value: object): Outcome => ({
  value: { ...value, help: text },
  text,
  exitCode: 0,
});

async function runCommand(
  name: string,
  command: Command,
  words: readonly string[],
  options: CommandContext["options"],
  json: boolean,
  { open, err }: Surroundings,
): Promise<Outcome> {
  let target: Promise<Target> | undefined;
  try {
    const result = await command.run({
      words,
      options,
      target: () => (target ??= open(options["remote"] === true, `nearside ${name}`)),
      say: (line) => {
        if (!json) err(`${line}\n`);
      },
    });
    return { value: result.json, text: result.text, exitCode: result.exitCode ?? 0 };
  } finally {
    // One that could not be opened has said so already.
    await (await target?.catch(() => undefined))?.close();
  }
}

function wireError(error: unknown): { message: string; code?: string } {
  if (!(error instanceof Error)) return { message: String(error) };
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  return { message: error.message, ...(code !== undefined && { code }) };
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
