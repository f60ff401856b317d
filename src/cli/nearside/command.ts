import type { ParseArgsConfig } from "node:util";

import type { Target } from "../target.ts";
import type { ControlClient } from "./control-client.ts";

type Options = NonNullable<ParseArgsConfig["options"]>;

/** A list for what may be given more than once. */
export type OptionValue = string | boolean | readonly (string | boolean)[] | undefined;

/** What a command may use while it runs. */
export interface CommandContext {
  /** Words that are no options, in order. */
  readonly words: readonly string[];
  /** Options by name, as `parseArgs` gives them. */
  readonly options: Readonly<Record<string, OptionValue>>;
  /** Opens the bucket and namespace that `--remote` chooses; closed when the command ends. */
  target(): Promise<Target>;
  /** The control plane of the running `npm start`, or the one that the environment names. */
  control(): Promise<ControlClient>;
  /** The address of the edge beside it. */
  edge(): Promise<string>;
  /** All of the standard input. */
  input(): Promise<string>;
  /** A line of progress, for a person: on the error stream, and not at all with `--json`. */
  say(line: string): void;
  /**
   * What is going on at this moment: drawn over what was shown last where the error stream is a terminal,
   * and otherwise the line alone, when it is another one. Nothing with `--json`.
   */
  show(block: string, line: string): void;
  wait(milliseconds: number): Promise<void>;
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
