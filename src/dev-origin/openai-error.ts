import { NearsideError } from "../errors.ts";
import { WIRE_FORMS } from "../protocol/problem.ts";

/** An error as OpenAI's clients read it. */
export interface OpenAiError {
  readonly status: number;
  readonly body: {
    readonly error: {
      readonly message: string;
      readonly type: string;
      readonly param: string | null;
      readonly code: string;
    };
  };
}

/** What is no NearsideError is told without its words. */
export function openAiError(error: unknown): OpenAiError {
  const isKnown = error instanceof NearsideError;
  const code = isKnown ? error.code : "internal";
  const message = isKnown ? error.message : "Something went wrong on our side.";
  const { status } = WIRE_FORMS[code];
  const param = (isKnown && error.field) || null;
  return { status, body: { error: { message, type: typeOf(status), param, code } } };
}

function typeOf(status: number): string {
  if (status === 401) return "authentication_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}
