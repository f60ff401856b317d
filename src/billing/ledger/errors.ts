export type LedgerErrorCode =
  | "account_not_found"
  | "invalid_period"
  | "file_unknown"
  | "not_balanced";

/** What was asked of a ledger can't be. */
export class LedgerError extends Error {
  override readonly name = "LedgerError";
  readonly code: LedgerErrorCode;

  constructor(code: LedgerErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
