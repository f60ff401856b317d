import { isAdmin } from "../accounts/admin-token.ts";
import type { Principal } from "../accounts/principal.ts";
import { NearsideError } from "../errors.ts";
import type { Caller } from "./choose.ts";
import { type Placement, PLACEMENTS } from "./placement.ts";

/** Who the request is for, as the caller's own backend calls them: the same key gets the same variant everywhere. */
const USER_HEADER = "nearside-user";
const OVERRIDE_HEADER = "nearside-override";
const PLACEMENT_HEADER = "nearside-placement";
const TIMEOUT_HEADER = "nearside-timeout-ms";
/** What a pool has for an answer where the caller says nothing. */
const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_TIMEOUT_MS = 3_600_000;

export interface CallerOptions {
  readonly model: string;
  /** The secret of whoever may override; nobody may when it is not set. */
  readonly adminToken: string | undefined;
  /** Who asks, where they showed a key. */
  readonly principal?: Principal | undefined;
  /** Who the request is for, as its body has it; the header goes first. */
  readonly user?: string | undefined;
}

/**
 * Reads what decides about a request's version besides its URL.
 *
 * @throws NearsideError `override_forbidden` when the override header comes without the admin token, or a key
 * that may override
 */
export function callerOf(
  request: Request,
  { model, adminToken, principal, user: bodyUser }: CallerOptions,
): Caller {
  const override = request.headers.get(OVERRIDE_HEADER) ?? undefined;
  const mayOverride = principal?.scopes.includes("override") ?? isAdmin(request, adminToken);
  if (override !== undefined && !mayOverride) {
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
      // Where no user is named each request counts for itself, so that fractions hold all the same. Not by the
      // request's id: a gateway may send the same one with all of them.
      targetingKey:
        user || bodyUser || (principal?.user ?? principal?.account.id ?? crypto.randomUUID()),
      model,
      ...(principal && { account: principal.account.id, plan: principal.account.plan }),
      ...(typeof cf?.country === "string" && { country: cf.country }),
      ...(typeof cf?.continent === "string" && { continent: cf.continent }),
      ...(typeof cf?.colo === "string" && { colo: cf.colo }),
      inputBytes: Number(request.headers.get("content-length") ?? 0),
    },
  };
}

/** Where the caller wants the request to run. @throws NearsideError `invalid_request` */
export function placementOf({ headers }: Request): Placement | undefined {
  const value = headers.get(PLACEMENT_HEADER)?.toLowerCase();
  const placement = PLACEMENTS.find((one) => one === value);
  if (value === undefined || placement !== undefined) return placement;
  throw new NearsideError("invalid_request", 'Nearside-Placement is "edge" or "origin".', {
    field: PLACEMENT_HEADER,
  });
}

/**
 * When an answer from a pool must have begun, in milliseconds since the epoch: by the caller's
 * `Nearside-Timeout-Ms`, else after 30 seconds.
 *
 * @throws NearsideError `invalid_request`
 */
export function deadlineOf({ headers }: Request, now: number): number {
  const value = headers.get(TIMEOUT_HEADER);
  if (value === null) return now + DEFAULT_TIMEOUT_MS;
  const milliseconds = /^\d{1,7}$/.test(value) ? Number(value) : 0;
  if (milliseconds >= 1 && milliseconds <= MAX_TIMEOUT_MS) return now + milliseconds;
  throw new NearsideError(
    "invalid_request",
    `Nearside-Timeout-Ms is a whole number from 1 to ${MAX_TIMEOUT_MS}.`,
    { field: TIMEOUT_HEADER },
  );
}
