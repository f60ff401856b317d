import { NearsideError } from "../../errors.ts";
import { isCount, isObject } from "./request.ts";

type Body = Readonly<Record<string, unknown>>;
/** What is wrong with a value; undefined: nothing. */
type Check = (value: unknown) => string | undefined;

const ROLES = ["system", "developer", "user", "assistant", "tool", "function"];
/** As OpenAI's own. */
const MAX_CHOICES = 128;
const MAX_STOPS = 4;

const within =
  (least: number, most: number): Check =>
  (value) =>
    typeof value === "number" && value >= least && value <= most
      ? undefined
      : `must be a number from ${least} to ${most}`;
const wholeFrom =
  (least: number, most: number = Number.MAX_SAFE_INTEGER): Check =>
  (value) =>
    isCount(value) && value >= least && value <= most
      ? undefined
      : `must be a whole number of at least ${least}${most < Number.MAX_SAFE_INTEGER ? ` and at most ${most}` : ""}`;

/** Of every kind of text that goes on. `null` is as good as absent. */
const SAMPLING: Readonly<Record<string, Check>> = {
  temperature: within(0, 2),
  top_p: within(0, 1),
  presence_penalty: within(-2, 2),
  frequency_penalty: within(-2, 2),
  n: wholeFrom(1, MAX_CHOICES),
  best_of: wholeFrom(1, MAX_CHOICES),
  max_tokens: wholeFrom(1),
  max_completion_tokens: wholeFrom(1),
  seed: (value) => (Number.isSafeInteger(value) ? undefined : "must be a whole number"),
  stop: (value) =>
    typeof value === "string" || (isTexts(value) && value.length <= MAX_STOPS)
      ? undefined
      : `must be a text, or ${MAX_STOPS} at most`,
  stream_options: (value) => (isObject(value) ? undefined : "must be an object"),
};

const INPUT = "must be a text, tokens, or a list of one of them that is not empty";
const isInput: Check = (value) =>
  typeof value === "string" ||
  (isFilled(value) &&
    (isTexts(value) || isTokens(value) || value.every((one) => isFilled(one) && isTokens(one))))
    ? undefined
    : INPUT;

/** Of embeddings that are computed here. */
const EMBEDDING: Readonly<Record<string, Check>> = {
  encoding_format: (value) =>
    value === "float" || value === "base64" ? undefined : "must be float or base64",
  user: (value) => (typeof value === "string" ? undefined : "must be a text"),
  // OpenAI's answer has no place for what was found; ignored, it would be missed.
  corpus: () => "is searched by POST /v1/predict/{model} only",
};

/** @param dimensions of the model @throws NearsideError `invalid_request` */
export function checkEmbedding(body: Body, dimensions: number): void {
  refuse("input", isInput(body["input"]));
  checkEach(body, { ...EMBEDDING, dimensions: wholeFrom(1, dimensions) });
}

/**
 * Checks what every engine of OpenAI's API would refuse, so that no pool is asked in vain. What only some know is
 * theirs to judge.
 *
 * @param path of the API: `v1/chat/completions`
 * @throws NearsideError `invalid_request`
 */
export function checkParameters(path: string, body: Body): void {
  if (path === "v1/embeddings") {
    refuse("input", isInput(body["input"]));
    return;
  }
  checkEach(body, SAMPLING);
  if (path === "v1/chat/completions") checkMessages(body["messages"]);
  else refuse("prompt", isInput(body["prompt"]));
}

function checkEach(body: Body, checks: Readonly<Record<string, Check>>): void {
  for (const [name, check] of Object.entries(checks)) {
    const value = body[name];
    if (value !== undefined && value !== null) refuse(name, check(value));
  }
}

function checkMessages(messages: unknown): void {
  if (!isFilled(messages)) throw wrong("messages", "must be a list that is not empty");
  for (const [index, message] of messages.entries()) {
    const field = `messages[${index}]`;
    if (!isObject(message)) throw wrong(field, "must be an object");
    const { role, content = null } = message;
    if (typeof role !== "string" || !ROLES.includes(role)) {
      throw wrong(`${field}.role`, `must be one of ${ROLES.join(", ")}`);
    }
    // What calls a tool need not say anything.
    if (content === null && role === "assistant") continue;
    const isParts =
      isFilled(content) &&
      content.every((part) => isObject(part) && typeof part["type"] === "string");
    if (typeof content !== "string" && !isParts) {
      throw wrong(`${field}.content`, "must be a text, or a list of parts with a type");
    }
  }
}

function isFilled(value: unknown): value is readonly unknown[] {
  return Array.isArray(value) && value.length > 0;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

function isTokens(value: readonly unknown[]): boolean {
  return value.every(isCount);
}

function refuse(name: string, problem: string | undefined): void {
  if (problem !== undefined) throw wrong(name, problem);
}

function wrong(field: string, problem: string): NearsideError {
  return new NearsideError("invalid_request", `\`${field}\` ${problem}.`, { field });
}
