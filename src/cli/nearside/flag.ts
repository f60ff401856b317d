import { STABLE } from "../../catalog/catalog.ts";
import { UserError } from "../user-error.ts";
import { nameOf, readDocument } from "./document.ts";
import { UsageError } from "./usage-error.ts";

/** Where the control plane keeps a model's flag. */
export const flagPath = (model: string): string => `/v1/models/${encodeURIComponent(model)}/flag`;

/**
 * Reads a flag from a file, or with `-` from the standard input: the flag itself, or a document of flagd that
 * has the model's flag in it.
 *
 * @throws UserError naming what is wrong with the file
 */
export async function readFlag(
  file: string,
  model: string,
  input: () => Promise<string>,
): Promise<unknown> {
  const value = await readDocument(file, input, {
    noun: "flag",
    form: '{"state": "ENABLED", "variants": {…}, …}',
  });
  if (!("flags" in value)) return value;
  const flags = value.flags as Readonly<Record<string, unknown>> | null;
  if (flags !== null && typeof flags === "object" && Object.hasOwn(flags, model))
    return flags[model];
  throw new UserError(`${nameOf(file)} has flags, but none that is called "${model}".`);
}

/** The variants of `--split`: who has the current one keeps it while the share of the next one rises. */
export function splitFlag(split: string): object {
  const [, choice = "", digits = ""] = /^([a-z0-9-]+)=(\d{1,3})$/.exec(split) ?? [];
  const percent = Number(digits);
  const isNumber = /^[1-9]\d*$/.test(choice);
  if ((!isNumber && !/^[a-z]/.test(choice)) || percent > 100) {
    throw new UsageError(
      `--split takes a version or label and its percentage, such as 4=10, not "${split}".`,
    );
  }
  return {
    state: "ENABLED",
    variants: { current: STABLE, next: isNumber ? Number(choice) : choice },
    defaultVariant: "current",
    targeting: {
      fractional: [
        ["current", 100 - percent],
        ["next", percent],
      ],
    },
  };
}

const SCALAR = /^(true|false|-?(0|[1-9]\d*)(\.\d+)?|".*")$/;

/** `key=value` words as a context; numbers, true, false and "quoted" text are read as JSON. */
export function attributesOf(words: readonly string[]): Record<string, unknown> {
  const entries = words.map((word): [string, unknown] => {
    const [, key, text = ""] = /^([^=]+)=(.*)$/s.exec(word) ?? [];
    if (key === undefined) {
      throw new UsageError(`--attribute takes key=value, such as country=DE, not "${word}".`);
    }
    try {
      return [key, SCALAR.test(text) ? JSON.parse(text) : text];
    } catch {
      return [key, text];
    }
  });
  return Object.fromEntries(entries);
}
