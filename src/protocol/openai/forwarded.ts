import type { Units } from "../../billing/meter.ts";
import { NearsideError } from "../../errors.ts";
import type { OriginAnswer, OriginCaller } from "../../origin/call-origin.ts";
import { isJson, mediaType } from "../body.ts";
import { passThrough } from "../pass-through.ts";
import { isObject, type OpenAiRequest, tokenCeiling } from "./request.ts";
import type { PassedStream } from "./stream.ts";
import { unitsOf, UsageFilter } from "./usage.ts";

/** An answer that is not streamed: a context of 128 thousand tokens, and what engines tell beside it. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/** An answer that is here. */
export interface Whole {
  readonly kind: "whole";
  readonly response: Response;
  readonly units: Units;
}

/** Takes a pool's answer: whole, or as it comes. @throws NearsideError `origin_failed`, `deadline_exceeded` */
export async function forwarded(
  upstream: OriginAnswer,
  asked: OpenAiRequest,
  { signal, idleMs }: Pick<OriginCaller, "signal" | "idleMs">,
): Promise<Whole | PassedStream> {
  const type = mediaType(upstream.headers.get("content-type"));
  const { status } = upstream;
  if (asked.stream && type.essence === "text/event-stream") {
    const filter = new UsageFilter(asked.wantsUsage, tokenCeiling(asked));
    const { body, ended } = passThrough(upstream.stream(), { status, signal, idleMs, filter });
    const headers = {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
    };
    const response = new Response(body, { headers });
    return {
      kind: "stream",
      response,
      units: () => filter.units,
      hasDelivered: () => filter.hasDelivered,
      ended,
    };
  }
  const bytes = await upstream.bytes(MAX_ANSWER_BYTES);
  const answer = isJson(type) ? readAnswer(bytes) : undefined;
  if (!isObject(answer) || isObject(answer["error"])) {
    throw new NearsideError("origin_failed", "The origin's answer is not what was asked for.");
  }
  const ceiling = tokenCeiling(asked);
  const units = unitsOf(answer["usage"], {
    ...ceiling,
    completion_tokens: Math.min(ceiling.completion_tokens, bytes.length),
  });
  const headers = { "content-type": "application/json" };
  return { kind: "whole", response: new Response(bytes, { headers }), units };
}

function readAnswer(bytes: Uint8Array<ArrayBuffer>): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new NearsideError("origin_failed", "The origin's answer can't be read.", { cause });
  }
}
