import { canonicalJson } from "../catalog/same-json.ts";
import { NearsideError } from "../errors.ts";

/** What must be true of something so that a change of it is what its sender meant. */
export type Precondition =
  | { readonly kind: "absent" }
  | { readonly kind: "present" }
  | { readonly kind: "is"; readonly etags: readonly string[] };

const ETAG_BYTES = 16;

/** The strong entity tag of a JSON value (RFC 9110 §8.8.3), quoted. */
export async function etagOf(value: unknown): Promise<string> {
  const bytes = new TextEncoder().encode(canonicalJson(value) ?? "");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `"${digest.subarray(0, ETAG_BYTES).toHex()}"`;
}

/** @throws NearsideError `precondition_required` when a change does not say what it changes */
export function preconditionOf({ headers, method, url }: Request): Precondition {
  const match = headers.get("if-match")?.trim();
  const noneMatch = headers.get("if-none-match")?.trim();
  if (match !== undefined && noneMatch === undefined) {
    if (match === "*") return { kind: "present" };
    return { kind: "is", etags: match.split(",").map((etag) => etag.trim()) };
  }
  if (match === undefined && noneMatch === "*") return { kind: "absent" };
  const { pathname } = new URL(url);
  throw new NearsideError(
    "precondition_required",
    `${method} ${pathname} must say what it changes: send If-Match with the ETag that GET answers, ` +
      "If-Match: * to change whatever is there, or If-None-Match: * to create what is not there yet.",
    { field: "if-match" },
  );
}

/**
 * Holds a precondition against what is there now.
 *
 * @param what `the flag of minilm`
 * @param current undefined when it is not there
 * @throws NearsideError `precondition_failed` with what is there now
 */
export async function checkPrecondition(
  precondition: Precondition,
  what: string,
  current: unknown,
): Promise<void> {
  if (current === undefined) {
    if (precondition.kind === "absent") return;
    throw failed(`There is no ${what}: send If-None-Match: * to create it.`, "if-match");
  }
  const etag = await etagOf(current);
  if (precondition.kind === "present") return;
  if (precondition.kind === "absent") {
    throw failed(
      `There is a ${what} already; its ETag is ${etag}. Send that as If-Match to change it.`,
      "if-none-match",
    );
  }
  if (precondition.etags.includes(etag)) return;
  throw failed(
    `The ${what} has changed meanwhile; its ETag is ${etag} now. Look at it again, then decide.`,
    "if-match",
  );
}

function failed(words: string, field: string): NearsideError {
  return new NearsideError("precondition_failed", words, { field });
}
