import type { IncomingMessage } from "node:http";

import { joined } from "../bytes.ts";
import { NearsideError } from "../errors.ts";
import type { Metrics } from "./metrics.ts";
import type { OriginModels } from "./models.ts";

/** What every request works with. */
export interface Origin {
  readonly models: OriginModels;
  readonly metrics: Metrics;
}

/** One request, routed. */
export interface Call {
  /** Parts of the path. */
  readonly params: Readonly<Record<string, string>>;
  readonly headers: Headers;
  /** Aborted when the caller leaves. */
  readonly signal: AbortSignal;
  /** Milliseconds since 1970, after which nobody waits for the answer. */
  readonly deadline: number | undefined;
  /** The whole body, read once. @throws NearsideError `body_too_large`, `unsupported_media_type` */
  body(): Promise<Uint8Array<ArrayBuffer>>;
}

/** One answer; a body that is written piece by piece waits for its reader. */
export interface Reply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | AsyncIterable<string>;
}

export function json(value: unknown, status = 200): Reply {
  return {
    status,
    headers: { "content-type": "application/json" },
    body: JSON.stringify(value),
  };
}

/** Room for 1,024 texts as tokens, or some images; the edge sends less. */
export const MAX_BODY_BYTES = 64 * 1024 * 1024;

/** Reads a body, and stops at the limit. @throws as {@link Call.body} */
export async function readBody(request: IncomingMessage): Promise<Uint8Array<ArrayBuffer>> {
  const { "content-encoding": coding = "identity", "content-length": declared } = request.headers;
  if (coding !== "identity") {
    throw new NearsideError("unsupported_media_type", `The body is encoded as "${coding}".`, {
      field: "content-encoding",
    });
  }
  if (Number(declared ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  // A buffer of its own: tensors are made of parts of it.
  return joined(chunks);
}

function tooLarge(): NearsideError {
  return new NearsideError("body_too_large", `The body may have ${MAX_BODY_BYTES} bytes at most.`);
}
