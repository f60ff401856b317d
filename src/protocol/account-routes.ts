import * as v from "valibot";

import { USAGE_DIMENSIONS, type UsageQuery } from "../billing/ledger-service.ts";
import { HOUR_MS, periodOf, startOf } from "../billing/periods.ts";
import type { Context } from "../context.ts";
import { NearsideError } from "../errors.ts";
import { identifyPayer } from "./authenticate.ts";

/** Verifiers may keep the keys for so long: a new one is to be published before it signs. */
const KEYS_SECONDS = 300;

/** `GET /.well-known/jwks.json`: what receipts are checked with. */
export function getReceiptKeys(context: Context): Response {
  return Response.json(context.isolate.receipts.publicKeys, {
    headers: {
      "content-type": "application/jwk-set+json",
      "cache-control": `public, max-age=${KEYS_SECONDS}`,
    },
  });
}

/**
 * `GET /v1/usage?from=2026-11&to=2026-12&by=model,day`: what the caller's own account has used.
 *
 * @throws AuthError, NearsideError `invalid_request`, `ledger_unreachable`
 */
export async function getUsage(context: Context, request: Request): Promise<Response> {
  const { account } = await identifyPayer(context, request, "usage");
  const query = usageQuery(new URL(request.url).searchParams, context.now());
  const { ledgers } = context.isolate;
  if (ledgers === undefined) throw unreachable();
  const usage = await ledgers.usage(account.id, query).catch((cause: unknown) => {
    throw unreachable(cause);
  });
  if (!usage.ok) {
    throw new NearsideError(usage.code, usage.message, {
      ...(usage.field !== undefined && { field: usage.field }),
    });
  }
  return Response.json(usage.value, { headers: { "cache-control": "no-store" } });
}

const Dimensions = v.pipe(
  v.string(),
  v.transform((text) => (text === "" ? [] : text.split(","))),
  v.array(v.picklist(USAGE_DIMENSIONS)),
);

/** From the start of the month up to the end of this hour, unless the query says otherwise. */
function usageQuery(query: URLSearchParams, now: number): UsageQuery {
  const by = v.safeParse(Dimensions, query.get("by") ?? "");
  if (!by.success) {
    throw new NearsideError("invalid_request", `"by" is some of ${USAGE_DIMENSIONS.join(", ")}.`, {
      field: "by",
    });
  }
  const from = momentOf(query, "from") ?? startOf("month", now);
  const to = momentOf(query, "to") ?? startOf("hour", now) + HOUR_MS;
  if (from >= to) {
    throw new NearsideError("invalid_request", '"from" must be before "to".', { field: "from" });
  }
  return { from, to, by: by.output };
}

/** The beginning of a year, month, day or hour: `2026-11-24T22`. */
function momentOf(query: URLSearchParams, name: "from" | "to"): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  const period = periodOf(text);
  if (period !== undefined) return period.from;
  throw new NearsideError(
    "invalid_request",
    `"${name}" is a year, month, day or hour of UTC: 2026-11-24T22.`,
    { field: name },
  );
}

function unreachable(cause?: unknown): NearsideError {
  return new NearsideError(
    "ledger_unreachable",
    "The account's ledger can't be reached right now; try again.",
    { retryAfterSeconds: 1, cause },
  );
}
