import { NearsideError } from "../errors.ts";
import { isOverLimit, placeUnread } from "../routing/placement.ts";
import { edgeLimits, originLimits } from "../tasks/limits.ts";
import type { Decided } from "./decide.ts";
import type { Exchange } from "./pipeline.ts";

/** As much as wherever the request may run takes. */
export function bodyLimit<Input, Output>(
  { manifest, origin, wishes }: Decided,
  exchange: Exchange<Input, Output>,
): number {
  const edge = exchange.maxBodyBytes(manifest);
  const placed = placeUnread(wishes);
  if (origin === undefined || placed?.placement === "edge") return edge;
  const { maxBodyBytes } = origin.route.limits;
  return placed === undefined ? Math.max(edge, maxBodyBytes) : maxBodyBytes;
}

/** Decodes within the edge's limits, or the pool's if there is one and the input is too much for the edge. */
export function decodeWithin<Input, Output>(
  { manifest, origin, wishes }: Decided,
  exchange: Exchange<Input, Output>,
  body: Uint8Array<ArrayBuffer>,
): { readonly input: Input; readonly overLimit: boolean } {
  const here = edgeLimits(manifest);
  const placed = placeUnread(wishes);
  if (origin === undefined || placed?.placement === "edge") {
    return { input: exchange.decode(body, manifest, here), overLimit: false };
  }
  const isLong = body.length > exchange.maxBodyBytes(manifest);
  if (!isLong) {
    try {
      return { input: exchange.decode(body, manifest, here), overLimit: false };
    } catch (error) {
      const isTooMuch = error instanceof NearsideError && isOverLimit(error.code);
      if (!isTooMuch && placed === undefined) throw error;
    }
  }
  return { input: exchange.decode(body, manifest, originLimits(origin.route)), overLimit: true };
}
