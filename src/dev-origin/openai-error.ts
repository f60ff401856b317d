import { NearsideError } from "../errors.ts";
import { openAiError, type OpenAiError } from "../protocol/openai/error.ts";
import { WIRE_FORMS } from "../protocol/problem.ts";

/** An error as OpenAI's clients read it, with its status. */
export interface OpenAiFailure {
  readonly status: number;
  readonly body: { readonly error: OpenAiError };
}

/** What is no NearsideError is told without its words. */
export function openAiFailure(error: unknown): OpenAiFailure {
  const isKnown = error instanceof NearsideError;
  const code = isKnown ? error.code : "internal";
  const message = isKnown ? error.message : "Something went wrong on our side.";
  const { status } = WIRE_FORMS[code];
  const field = isKnown ? error.field : undefined;
  return { status, body: { error: openAiError(code, status, message, field) } };
}
