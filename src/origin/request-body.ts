import { NearsideError } from "../errors.ts";
import { byteSource, readPrefix } from "./byte-source.ts";
import { contentDigest } from "./content-digest.ts";

/** A body up to this is held, to be signed and sent again: 64 of them in flight stay within an isolate's memory only because most are small. */
export const MAX_HELD_BYTES = 8 * 1024 * 1024;

export type OutgoingBody =
  | { readonly kind: "none" }
  | { readonly kind: "held"; readonly bytes: Uint8Array; digest(): Promise<string> }
  /** Can be sent once. */
  | { readonly kind: "stream"; readonly stream: ReadableStream<Uint8Array> };

/**
 * The body of a request: held if it is small enough, else a stream that goes through once and is never retried.
 *
 * @param mustHold the pool wants signatures, and the digest of a stream is known too late
 * @throws NearsideError `body_too_large`
 */
export async function takeBody(request: Request, mustHold: boolean): Promise<OutgoingBody> {
  if (request.body === null) return { kind: "none" };
  const length = request.headers.get("content-length");
  if (length !== null && Number(length) <= MAX_HELD_BYTES) {
    return heldBody(new Uint8Array(await request.arrayBuffer()));
  }
  if (!mustHold) return { kind: "stream", stream: request.body };
  if (length !== null) throw tooLarge();
  const source = byteSource(request.body);
  const { bytes, ended } = await readPrefix(source, MAX_HELD_BYTES);
  if (ended) return heldBody(bytes);
  await source.cancel();
  throw tooLarge();
}

export function heldBody(bytes: Uint8Array): OutgoingBody & { kind: "held" } {
  let digest: Promise<string> | undefined;
  return { kind: "held", bytes, digest: () => (digest ??= contentDigest(bytes)) };
}

function tooLarge(): NearsideError {
  return new NearsideError(
    "body_too_large",
    `A request to this pool has at most ${MAX_HELD_BYTES} bytes.`,
  );
}
