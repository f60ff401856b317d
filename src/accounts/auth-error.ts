import { NearsideError } from "../errors.ts";

interface WireForm {
  readonly status: number;
  readonly title: string;
}

/** Every reason for which a caller is not let in, and its wire form. */
export const AUTH_FORMS = {
  key_missing: { status: 401, title: "The request shows no key" },
  key_malformed: { status: 401, title: "This is not a key" },
  key_unknown: { status: 401, title: "No such key" },
  key_revoked: { status: 401, title: "The key was revoked" },
  key_expired: { status: 401, title: "The key has expired" },
  token_invalid: { status: 401, title: "The client token can't be accepted" },
  token_expired: { status: 401, title: "The client token has expired" },
  account_suspended: { status: 403, title: "The account is suspended" },
  key_scope: { status: 403, title: "The key may not do this" },
  model_not_allowed: { status: 403, title: "The key may not use this model" },
  origin_not_allowed: { status: 403, title: "The key may not be used from this page" },
} as const satisfies Record<string, WireForm>;

export type AuthCode = keyof typeof AUTH_FORMS;

/** A caller who is not let in. */
export class AuthError extends NearsideError {
  override readonly name: string = "AuthError";
  declare readonly code: AuthCode;

  /** @param details the header in which the reason lies */
  constructor(code: AuthCode, message: string, details: { field?: string; cause?: unknown } = {}) {
    super(code, message, details);
  }

  get status(): number {
    return AUTH_FORMS[this.code].status;
  }
}
