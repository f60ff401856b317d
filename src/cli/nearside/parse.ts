import { parseArgs } from "node:util";

import type { Command, CommandContext } from "./command.ts";
import { didYouMean } from "./nearest.ts";
import { UsageError } from "./usage-error.ts";

/** What every command has. */
export const COMMON_OPTIONS = {
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
  remote: { type: "boolean" },
} as const;

export interface CommandLine {
  /** `models show`; undefined when no command was typed. */
  readonly name: string | undefined;
  /** `rollout`: the first word of several commands, alone. */
  readonly family?: string;
  /** Everything else. */
  readonly rest: readonly string[];
}

/** Finds the command: the first words that are no options. @throws UsageError when there is none like it */
export function findCommand(words: readonly string[], names: readonly string[]): CommandLine {
  const end = words.indexOf("--");
  const before = end === -1 ? words : words.slice(0, end);
  const places = before.flatMap((word, place) => (word.startsWith("-") ? [] : [place]));
  const [first, second, third] = places;
  if (first === undefined) return { name: undefined, rest: words };
  const without = (...taken: number[]) => words.filter((_, place) => !taken.includes(place));
  const word = words[first] ?? "";
  if (second !== undefined) {
    const both = `${word} ${words[second]}`;
    const all = third === undefined ? both : `${both} ${words[third]}`;
    if (third !== undefined && names.includes(all)) {
      return { name: all, rest: without(first, second, third) };
    }
    if (names.some((name) => name.startsWith(`${both} `))) {
      if (third !== undefined) throw noCommand(all, names);
      return { name: undefined, family: both, rest: without(first, second) };
    }
    if (names.includes(both)) return { name: both, rest: without(first, second) };
    // A command that others are named after takes no words.
    if (names.some((name) => isBelow(name, word))) throw noCommand(both, names);
  }
  if (names.includes(word)) return { name: word, rest: without(first) };
  if (names.some((name) => name.startsWith(`${word} `))) {
    return { name: undefined, family: word, rest: without(first) };
  }
  throw noCommand(word, names);
}

/** `models show` is below `models`; `usage dead list` leaves `usage` its own words. */
const isBelow = (name: string, word: string): boolean =>
  name.startsWith(`${word} `) && name.split(" ").length === 2;

function noCommand(typed: string, names: readonly string[]): UsageError {
  return new UsageError(
    `There is no command "${typed}".${didYouMean(typed, names)} \`nearside --help\` lists them all.`,
  );
}

/** `parseArgs` takes a number below zero for an option, so it is shown another word. */
const NEGATIVE = /^-\d/;
const GUARD = "\0";
const unguarded = (word: string): string => (word.startsWith(GUARD) ? word.slice(1) : word);

/**
 * Parses what follows a command's name, strictly.
 *
 * @throws UsageError for an option or a number of words that the command does not have
 */
export function parseWords(
  name: string,
  command: Command,
  rest: readonly string[],
): Pick<CommandContext, "words" | "options"> {
  const options = { ...command.options, ...COMMON_OPTIONS };
  const hint = `Usage: nearside ${command.usage}`;
  let parsed: { values: Record<string, unknown>; positionals: string[] };
  try {
    const args = rest.map((word) => (NEGATIVE.test(word) ? GUARD + word : word));
    parsed = parseArgs({ args, options, strict: true, allowPositionals: true });
  } catch (error) {
    throw new UsageError(`${explain(error as Error, Object.keys(options))}\n${hint}`);
  }
  const words = parsed.positionals.map(unguarded);
  for (const [option, value] of Object.entries(parsed.values)) {
    if (typeof value === "string") parsed.values[option] = unguarded(value);
  }
  if (!parsed.values["help"]) checkCount(name, command.usage, words, hint);
  return { words, options: parsed.values as CommandContext["options"] };
}

function explain({ message }: Error, names: readonly string[]): string {
  const unknown = /^Unknown option '(-[^']+)'/.exec(message)?.[1];
  if (unknown === undefined) return message.split("\n")[0] ?? message;
  const flags = names.map((name) => `--${name}`);
  return `There is no option "${unknown}".${didYouMean(unknown, flags)}`;
}

/** The usage line says how many words there are: `<model>` once, `[<model>]` perhaps, `<model>...` and more. */
function checkCount(name: string, usage: string, words: readonly string[], hint: string): void {
  const places = usage.match(/(?<=^|\s)(<[^>]+>|\[<[^>]+>\])(\.\.\.|…)?(?=\s|$)/g) ?? [];
  const required = places.filter((place) => place.startsWith("<"));
  const open = places.some((place) => /(\.\.\.|…)$/.test(place));
  const missing = required[words.length];
  if (missing !== undefined)
    throw new UsageError(`\`nearside ${name}\` needs ${missing}.\n${hint}`);
  const extra = words[places.length];
  if (extra !== undefined && !open) {
    throw new UsageError(`"${extra}" is one word too many for \`nearside ${name}\`.\n${hint}`);
  }
}

/** @throws UsageError when the text is no whole number from `least` up */
export function wholeNumber(option: string, text: string, least: number): number {
  return wholeWord(`--${option}`, text, least);
}

/** A word instead of an option. @param place as in the usage: `<version>` */
export function wholeWord(place: string, text: string, least: number): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(number) && number >= least) return number;
  throw new UsageError(`${place} takes a whole number from ${least} up, not "${text}".`);
}

/** @throws UsageError when the text is no decimal number such as 0.02 */
export function decimalNumber(option: string, text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  throw new UsageError(`--${option} takes a number such as 0.05 or 1.5, not "${text}".`);
}
