import { readFile } from "node:fs/promises";

import { UserError } from "../user-error.ts";

/** How a person calls a file, or the standard input. */
export const nameOf = (file: string): string => (file === "-" ? "The standard input" : file);

/** All of a file, or with `-` of the standard input. @throws UserError when it can't be read */
export async function readText(file: string, input: () => Promise<string>): Promise<string> {
  try {
    return file === "-" ? await input() : await readFile(file, "utf8");
  } catch (cause) {
    throw new UserError(`${nameOf(file)} can't be read: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Reads a JSON object from a file, or with `-` from the standard input.
 *
 * @param what what it should be: its noun, and what it looks like
 * @throws UserError naming what is wrong with the file
 */
export async function readDocument(
  file: string,
  input: () => Promise<string>,
  what: { readonly noun: string; readonly form: string },
): Promise<object> {
  const where = nameOf(file);
  const text = await readText(file, input);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new UserError(`${where} is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new UserError(`${where} is no ${what.noun}, which is a JSON object: ${what.form}`);
}
