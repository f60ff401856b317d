import { isAdmin } from "../accounts/admin-token.ts";
import { NearsideError } from "../errors.ts";
import type { Caller } from "./choose.ts";

/** Who the request is for, as the caller's own backend calls them: the same key gets the same variant everywhere. */
const USER_HEADER = "nearside-user";
const OVERRIDE_HEADER = "nearside-override";
const USER_KEY = /^[\x21-\x7e]{1,256}$/;

export interface CallerOptions {
  readonly model: string;
  /** Stands in where no user is named: each request for itself, so that fractions hold all the same. */
  readonly requestId: string;
  /** The secret of whoever may override; nobody may when it is not set. */
  readonly adminToken: string | undefined;
}

/**
 * Reads what decides about a request's version besides its URL.
 *
 * @throws NearsideError `override_forbidden` when the override header comes without the admin token
 */
export function callerOf(
  request: Request,
  { model, requestId, adminToken }: CallerOptions,
): Caller {
  const override = request.headers.get(OVERRIDE_HEADER) ?? undefined;
  if (override !== undefined && !isAdmin(request, adminToken)) {
    throw new NearsideError(
      "override_forbidden",
      "Only the operator may choose a version by header; name it in the URL: /versions/{v}.",
      { field: OVERRIDE_HEADER },
    );
  }
  const user = request.headers.get(USER_HEADER);
  const { cf } = request;
  return {
    override,
    context: {
      targetingKey: user !== null && USER_KEY.test(user) ? user : requestId,
      model,
      ...(typeof cf?.country === "string" && { country: cf.country }),
      ...(typeof cf?.continent === "string" && { continent: cf.continent }),
      ...(typeof cf?.colo === "string" && { colo: cf.colo }),
      inputBytes: Number(request.headers.get("content-length") ?? 0),
    },
  };
}
