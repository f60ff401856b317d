import { parseArgs, type ParseArgsConfig } from "node:util";

import { UserError } from "./user-error.ts";

type Options = NonNullable<ParseArgsConfig["options"]>;

/** Parses a command's words. @throws UserError with the usage when a word is not known */
export function parseOptions<const T extends Options>(
  words: readonly string[],
  options: T,
  usage: string,
) {
  try {
    return parseArgs({ args: [...words], options, strict: true }).values;
  } catch (error) {
    throw new UserError(`${(error as Error).message}\nUsage: ${usage}`);
  }
}

/** @throws UserError when the text is not a port */
export function parsePort(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new UserError(`"${text}" is not a port: a whole number from 0 (any free one) to 65535.`);
}
