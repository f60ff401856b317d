import type { Answer, Begun } from "../billing/idempotency.ts";
import type { LedgerService } from "../billing/ledger-service.ts";
import { digestOf } from "../billing/receipt.ts";
import type { Principal } from "../accounts/principal.ts";
import type { Context } from "../context.ts";
import { NearsideError } from "../errors.ts";
import { isJson, mediaType } from "./body.ts";
import { costText } from "./charge.ts";
import { HEADER_LENGTH } from "./open-inference/binary-body.ts";

const HEADER = "idempotency-key";
const KEY = /^[\x21-\x7e]{1,255}$/;

/** A ledger that takes longer counts as out of reach, and no answer waits longer to be kept. */
const ANSWER_MS = 2_000;

/** What is kept of an answer besides its body: what Nearside said, not what every answer has. */
const KEPT_HEADERS = /^(?:content-type|inference-header-content-length|nearside-|x-litellm-)/;

/** A request that is to be answered, and billed, once. */
export interface OnceOnly {
  /** Of the Idempotency-Key, and whose it is. */
  readonly hash: string;
  readonly account: string;
  readonly ledgers: LedgerService;
  /** When the first request with it began, by the ledger's clock; known once it has been asked. */
  begunAt?: number;
}

/**
 * Reads `Idempotency-Key`; undefined when there is none, or nobody who could have one.
 *
 * @throws NearsideError `invalid_request`, `ledger_unreachable`
 */
export async function onceOnly(
  context: Context,
  request: Request,
  principal: Principal | undefined,
): Promise<OnceOnly | undefined> {
  const key = request.headers.get(HEADER);
  if (key === null || principal === undefined) return undefined;
  if (!KEY.test(key)) {
    throw new NearsideError("invalid_request", "Idempotency-Key has 1 to 255 visible characters.", {
      field: HEADER,
    });
  }
  const { ledgers } = context.isolate;
  if (ledgers === undefined) throw unreachable();
  const { account, keyId, user = "", tokenId = "" } = principal;
  // Browsers of one customer share a signer: a user's answers are no other user's.
  const hash = await digestOf(JSON.stringify([keyId, user || tokenId, key]));
  return { hash, account: account.id, ledgers };
}

/** @throws NearsideError `invalid_request`: a stream can't be kept for a second caller */
export function refuseStream(once: OnceOnly | undefined): void {
  if (once === undefined) return;
  throw new NearsideError(
    "invalid_request",
    "A stream can't be answered twice; send it without Idempotency-Key, or without `stream`.",
    { field: HEADER },
  );
}

/**
 * Answers a request, or gives the answer that was given before. What fails is forgotten, and may be tried
 * again. The work goes on when its caller leaves: they will come back for the answer.
 *
 * @throws NearsideError `idempotency_conflict`, `idempotency_running`, `ledger_unreachable`; what `work` throws
 */
export async function answerOnce(
  context: Context,
  once: OnceOnly | undefined,
  request: Request,
  body: Uint8Array<ArrayBuffer>,
  work: () => Promise<Response>,
): Promise<Response> {
  if (once === undefined) return work();
  const begun = await begin(context, once, await requestDigest(request, body));
  switch (begun.state) {
    case "done":
      return replayed(begun);
    case "other_body":
      throw new NearsideError(
        "idempotency_conflict",
        "The Idempotency-Key was used for a request with another path, body or kind of body.",
        { field: HEADER },
      );
    case "running":
      throw new NearsideError(
        "idempotency_running",
        "The first request with this Idempotency-Key is still running; ask again soon.",
        { field: HEADER, retryAfterSeconds: 1 },
      );
    case "new": {
      once.begunAt = begun.begunAt;
      const working = workAndKeep(context, once, begun.token, work);
      context.waitUntil(working.catch(() => {}));
      return working;
    }
  }
}

async function begin(
  context: Context,
  { ledgers, account, hash }: OnceOnly,
  digest: string,
): Promise<Begun> {
  const asked = ledgers.begin(account, hash, digest);
  const begun = await inTime(asked).catch((cause: unknown) => {
    throw unreachable(cause);
  });
  if (begun !== undefined) return begun;
  // Nobody will work for it: whoever asks again must not be told that it is running.
  const forget = asked.then((late) =>
    late.state === "new" ? ledgers.finish(account, hash, late.token) : undefined,
  );
  context.waitUntil(forget.catch(() => {}));
  throw unreachable();
}

/** Undefined when it takes too long. */
function inTime<T>(promise: Promise<T>): Promise<T | undefined> {
  return Promise.race([promise, scheduler.wait(ANSWER_MS).then(() => undefined)]);
}

async function workAndKeep(
  context: Context,
  { ledgers, account, hash }: OnceOnly,
  token: string,
  work: () => Promise<Response>,
): Promise<Response> {
  const keep = async (answer?: Answer): Promise<void> => {
    const kept = ledgers.finish(account, hash, token, answer).then(
      () => true,
      (cause: unknown) => {
        context.log.error("answer_not_kept", cause, { requestId: context.requestId });
        return true;
      },
    );
    context.waitUntil(kept);
    if ((await inTime(kept)) === true) return;
    context.log.warn("answer_kept_late", { requestId: context.requestId });
  };
  let response: Response;
  let body: Uint8Array<ArrayBuffer>;
  try {
    response = await work();
    body = new Uint8Array(await response.arrayBuffer().catch(brokenOff));
  } catch (error) {
    await keep();
    throw error;
  }
  const headers = Object.fromEntries(
    [...response.headers].filter(([name]) => KEPT_HEADERS.test(name)),
  );
  // Before the answer: whoever has it, and asks again, gets it again.
  await keep({ status: response.status, headers, body });
  return new Response(body, response);
}

/** The receipt is the first one's: nothing is billed for this answer. */
function replayed({ status, headers, body }: Answer): Response {
  const response = new Response(Uint8Array.from(body), { status, headers });
  response.headers.set("idempotent-replayed", "true");
  response.headers.set("nearside-cost", costText(0));
  response.headers.set("x-litellm-response-cost", "0.00");
  return response;
}

/**
 * Over method, path, query, body, and what says how the body is read. For JSON alone that is nothing, so that digests
 * are those of before other bodies had their headers in them; what was kept for such a body then is in conflict with
 * itself until its record goes, a day later at most.
 */
async function requestDigest(request: Request, body: Uint8Array<ArrayBuffer>): Promise<string> {
  const { pathname, search } = new URL(request.url);
  const { method, headers } = request;
  return digestOf(`${method} ${pathname}${search} ${await digestOf(body)}${readingOf(headers)}`);
}

/** How a body is read, the same for all ways to write it. */
function readingOf(headers: Headers): string {
  const type = mediaType(headers.get("content-type"));
  const length = headers.get(HEADER_LENGTH);
  if (length === null && isJson(type)) return "";
  const parameters = Object.entries(type.parameters).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return ` ${JSON.stringify([type.essence, parameters, length === null ? null : Number(length)])}`;
}

function brokenOff(cause: unknown): never {
  throw new NearsideError("origin_failed", "The model's origin pool broke off.", { cause });
}

function unreachable(cause?: unknown): NearsideError {
  return new NearsideError(
    "ledger_unreachable",
    "The account's ledger can't be reached right now; try again, or without Idempotency-Key.",
    { retryAfterSeconds: 1, cause },
  );
}
