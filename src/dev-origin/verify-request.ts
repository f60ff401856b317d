import type { IncomingMessage } from "node:http";

import { NearsideError } from "../errors.ts";
import { receivedUrl } from "../origin/received-url.ts";
import type { RefusalReason } from "../origin/refusals.ts";
import { ReplayGuard } from "../origin/replay-guard.ts";
import type { PublicKeyJwk } from "../origin/signing-keys.ts";
import { createVerifier } from "../origin/verify.ts";

/** Lets a request pass, or throws. @throws NearsideError `invalid_signature`, and what reading the body throws */
export type RequestGate = (
  request: IncomingMessage,
  body: () => Promise<Uint8Array>,
) => Promise<void>;

export interface GateOptions {
  /** Public keys by name; undefined lets everybody in. */
  readonly keys: ReadonlyMap<string, PublicKeyJwk> | undefined;
  now(): number;
  onRefusal(reason: RefusalReason): void;
}

/** Only requests that Nearside signed; why one is refused is for the operator, not for its sender. */
export function requestGate({ keys, now, onRefusal }: GateOptions): RequestGate {
  if (keys === undefined) return () => Promise.resolve();
  const verify = createVerifier({ keys, now, replay: new ReplayGuard() });
  return async (request, body) => {
    const verdict = await verify({
      method: request.method ?? "",
      url: receivedUrl(request.headers.host, request.url),
      headers: pairsOf(request.rawHeaders),
      body,
    });
    if (verdict.ok) return;
    onRefusal(verdict.reason);
    throw new NearsideError("invalid_signature", "Only signed requests are answered here.");
  };
}

/** Names and values alternate. */
function pairsOf(rawHeaders: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    pairs.push([rawHeaders[at] ?? "", rawHeaders[at + 1] ?? ""]);
  }
  return pairs;
}
