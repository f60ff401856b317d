export type PublishErrorCode =
  | "already_published"
  | "no_model"
  | "unsupported_model"
  | "bad_fixtures"
  | "below_threshold"
  | "trial_failed"
  | "bad_corpus";

/** Why a model is not published; the message says what to do. */
export class PublishError extends Error {
  override readonly name = "PublishError";
  readonly code: PublishErrorCode;

  constructor(code: PublishErrorCode, message: string, options?: { cause: unknown }) {
    super(message, options);
    this.code = code;
  }
}
