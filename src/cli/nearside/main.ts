import { setTimeout as sleep } from "node:timers/promises";
import { text as readAll } from "node:stream/consumers";

import { NearsideError } from "../../errors.ts";
import { PublishError } from "../../publish/error.ts";
import { openTarget, type Target } from "../target.ts";
import { UserError } from "../user-error.ts";
import type { Command, CommandContext } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import type { ControlClient } from "./control-client.ts";
import { findEdge, openControl } from "./open-control.ts";
import { familyHelp, helpOf, overview } from "./help.ts";
import { liveDisplay } from "./live.ts";
import { findCommand, parseWords } from "./parse.ts";
import { UsageError } from "./usage-error.ts";

/** What the command line reaches the world through. */
export interface Surroundings {
  out(text: string): void;
  err(text: string): void;
  open(remote: boolean, command: string): Promise<Target>;
  control(remote: boolean): Promise<ControlClient>;
  /** Found by itself when absent. */
  edge?(remote: boolean): Promise<string>;
  input(): Promise<string>;
  wait(milliseconds: number): Promise<void>;
  /** Whether what `err` writes can be drawn over. */
  readonly isTerminal: boolean;
}

const TERMINAL: Surroundings = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  open: (remote, command) => openTarget({ remote, command }),
  control: (remote) => openControl({ remote }),
  input: () => readAll(process.stdin),
  wait: (milliseconds) => sleep(milliseconds),
  isTerminal: process.stderr.isTTY,
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
  const { name, family, rest } = findCommand(words, Object.keys(COMMANDS));
  const load = name === undefined ? undefined : COMMANDS[name];
  if (name === undefined || load === undefined) return topLevel(rest, family);
  const command = await load();
  const { words: given, options } = parseWords(name, command, rest);
  if (options["help"]) return helpOutcome(helpOf(command), { usage: command.usage });
  return runCommand(name, command, given, options, json, surroundings);
}

/** No command, or only its first word: help when it is asked for, and as an error otherwise. */
async function topLevel(rest: readonly string[], family?: string): Promise<Outcome> {
  const commands: Record<string, Command> = {};
  for (const [name, load] of Object.entries(COMMANDS)) {
    if (family === undefined || name.startsWith(`${family} `)) commands[name] = await load();
  }
  const text = family === undefined ? overview(commands) : familyHelp(family, commands);
  const other = rest.find((word) => !["--help", "-h", "--json"].includes(word));
  if (other !== undefined) {
    throw new UsageError(`"${other}" comes after a command. \`nearside --help\` lists them.`);
  }
  if (!rest.includes("--help") && !rest.includes("-h")) {
    const missing =
      family === undefined ? "There is no command." : `"${family}" is half a command.`;
    throw new UsageError(`${missing}\n\n${text}`);
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
  {
    open,
    control,
    edge = (remote) => findEdge({ remote }),
    input,
    wait,
    err,
    isTerminal,
  }: Surroundings,
): Promise<Outcome> {
  let target: Promise<Target> | undefined;
  const display = liveDisplay(err, isTerminal);
  try {
    const result = await command.run({
      words,
      options,
      target: () => (target ??= open(options["remote"] === true, `nearside ${name}`)),
      say: (line) => {
        if (!json) err(`${line}\n`);
      },
      show: (block, line) => {
        if (!json) display.show(block, line);
      },
      control: () => control(options["remote"] === true),
      edge: () => edge(options["remote"] === true),
      input,
      wait,
    });
    return { value: result.json, text: result.text, exitCode: result.exitCode ?? 0 };
  } finally {
    display.clear();
    // One that could not be opened has said so already.
    await (await target?.catch(() => undefined))?.close();
  }
}

function wireError(error: unknown): object {
  if (!(error instanceof Error)) return { message: String(error) };
  const { code, field, problems } = error as Partial<NearsideError>;
  return {
    message: error.message,
    ...(typeof code === "string" && { code }),
    ...(typeof field === "string" && { field }),
    ...(problems !== undefined && { problems }),
  };
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
