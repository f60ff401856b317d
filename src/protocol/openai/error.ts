import type { ErrorCode } from "../../errors.ts";

/** The error of OpenAI's API, as its clients read it. */
export interface OpenAiError {
  readonly message: string;
  readonly type: string;
  /** The offending place in the request. */
  readonly param: string | null;
  readonly code: ErrorCode;
}

/** @param status of the answer, which decides the type as OpenAI's own do */
export function openAiError(
  code: ErrorCode,
  status: number,
  message: string,
  param: string | undefined,
): OpenAiError {
  return { message, type: typeOf(status), param: param ?? null, code };
}

function typeOf(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}
