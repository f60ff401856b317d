import { NearsideError } from "../errors.ts";

/** Texts of a JSON request, in order. */
export interface Texts {
  readonly texts: readonly string[];
  /** A string came, not an array: the answer is one result, not an array. */
  readonly single: boolean;
}

/**
 * `inputs` as a string or a non-empty array of strings.
 *
 * @throws NearsideError `invalid_input`, `batch_too_large`
 */
export function textInputs(inputs: unknown, maxBatch: number): Texts {
  if (typeof inputs === "string") return { texts: [inputs], single: true };
  if (!Array.isArray(inputs) || inputs.length === 0) {
    throw invalidInput("inputs", "must be a string or a non-empty array of strings");
  }
  checkBatch(inputs.length, maxBatch);
  const texts: readonly unknown[] = inputs;
  if (isStrings(texts)) return { texts, single: false };
  const index = texts.findIndex((text) => typeof text !== "string");
  throw invalidInput(`inputs[${index}]`, `must be a string, not ${kindOf(texts[index])}`);
}

function isStrings(values: readonly unknown[]): values is readonly string[] {
  return values.every((value) => typeof value === "string");
}

/** @throws NearsideError `batch_too_large` */
export function checkBatch(count: number, maxBatch: number, field = "inputs"): void {
  if (count <= maxBatch) return;
  throw new NearsideError(
    "batch_too_large",
    `The request has ${count} inputs; this model takes ${maxBatch} at most.`,
    { field },
  );
}

/** Where text `index` of a request stands. */
export function textField(index: number, { single }: Texts): string {
  return single ? "inputs" : `inputs[${index}]`;
}

/** @param problem what follows the field in the sentence: `must be a number` */
export function invalidInput(field: string, problem: string): NearsideError {
  return new NearsideError("invalid_input", `"${field}" ${problem}.`, { field });
}

/** @throws NearsideError `unsupported_media_type` when a text is declared to be anything but UTF-8 */
export function checkCharset(mediaParameters: Readonly<Record<string, string>>): void {
  const charset = mediaParameters["charset"]?.toLowerCase() ?? "utf-8";
  if (charset === "utf-8" || charset === "utf8" || charset === "us-ascii") return;
  throw new NearsideError("unsupported_media_type", "Text must be UTF-8.", {
    field: "content-type",
  });
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

/** @throws NearsideError `invalid_input` when the bytes are not UTF-8 */
export function rawText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new NearsideError("invalid_input", "The body is not UTF-8 text.", { field: "inputs" });
  }
}

/** What a JSON value is, in words for a person. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "missing";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
