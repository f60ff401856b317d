import type { ParseArgsConfig } from "node:util";

import type { Target } from "../target.ts";

type Options = NonNullable<ParseArgsConfig["options"]>;

/** What a command may use while it runs. */
export interface CommandContext {
  /** Words that are no options, in order. */
  readonly words: readonly string[];
  /** Options by name, as `parseArgs` gives them. */
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
  /** Opens the bucket and namespace that `--remote` chooses; closed when the command ends. */
  target(): Promise<Target>;
  /** A line of progress, for a person: on the error stream, and not at all with `--json`. */
  say(line: string): void;
}

/** What a command found: a value for `--json`, and words for a person. */
export interface CommandResult {
  readonly json: unknown;
  readonly text: string;
  /** 0 when absent: done. 1 says that something asked for does not hold. */
  readonly exitCode?: number;
}

/** One command of `nearside`. */
export interface Command {
  /** A line for the list of commands. */
  readonly summary: string;
  /** After `nearside`: `models show <model> [--json]`. */
  readonly usage: string;
  /** What `--help` teaches: what it does, and examples. */
  readonly help: string;
  /** Beside `--json`, `--help` and `--remote`, which every command has. */
  readonly options: Options;
  run(context: CommandContext): Promise<CommandResult>;
}
