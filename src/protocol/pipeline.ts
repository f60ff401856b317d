import type { Manifest } from "../catalog/manifest.ts";
import type { Context } from "../context.ts";
import { isInputRefusal, NearsideError } from "../errors.ts";
import type { Target } from "../routing/choose.ts";
import { edgeState } from "../routing/edge-state.ts";
import { isOverLimit, place, placeUnread } from "../routing/placement.ts";
import type { Answered, Work } from "../routing/shadow.ts";
import { edgeLimits, originLimits, type TaskLimits } from "../tasks/limits.ts";
import type { Units } from "../billing/meter.ts";
import { countFailure, type Decided, decide, stamp } from "./decide.ts";
import { type Forwarded, type Origin, run } from "./run.ts";

/** What a protocol adds to a request's way: how it reads the request, and how it writes the answer. */
export interface Exchange<Input, Output> extends Work<Input, Output> {
  /** The body, whole, once. It is kept beside the answer only while a shadow waits for its turn. */
  read(manifest: Manifest, maxBytes: number): Promise<Uint8Array<ArrayBuffer>>;
  /** @param limits the edge's, unless said otherwise */
  decode(body: Uint8Array<ArrayBuffer>, manifest: Manifest, limits?: TaskLimits): Input;
  /** What `units` will say, as far as it is known before the model has run. */
  estimate(input: Input): Units;
  encode(output: Output, input: Input, manifest: Manifest): Response;
  /** Asks the pool instead of a model here. */
  forward(
    origin: Origin,
    input: Input,
    body: Uint8Array<ArrayBuffer>,
    manifest: Manifest,
  ): Promise<Forwarded>;
}

/** The way of every inference request, whatever its protocol. */
export async function answer<Input, Output>(
  context: Context,
  target: Target,
  request: Request,
  exchange: Exchange<Input, Output>,
): Promise<Response> {
  const { isolate, timing } = context;
  const decided = await decide(context, target, request, "open-inference");
  const { manifest, meter, wishes } = decided;
  let body: Uint8Array<ArrayBuffer> | undefined;
  try {
    const maxBytes = bodyLimit(decided, exchange);
    const read = (body = await timing.measure("decode", () => exchange.read(manifest, maxBytes)));
    const { input, overLimit } = timing.measureSync("decode", () =>
      decodeWithin(decided, exchange, read),
    );
    meter.inputReady();

    const units = exchange.estimate(input);
    const state = edgeState(isolate.host, manifest, { overLimit, units, now: context.now() });
    const ran = await run(context, decided, exchange, {
      input,
      body: read,
      overLimit,
      placed: place(wishes, state),
    });
    stamp(ran.response, decided, ran.placed);

    if (ran.ended === undefined) {
      meter.end({ outcome: "ok", status: ran.response.status, units: ran.units });
    } else {
      context.waitUntil(ran.ended.then((end) => meter.end({ ...end, units: ran.units })));
    }
    if (ran.answer !== undefined) {
      shadow(context, decided, exchange, { body: read, answer: ran.answer, units: ran.units });
    }
    return ran.response;
  } catch (error) {
    countFailure(decided, error);
    // Would the other version have refused it, too? A version that takes less than its predecessor is worse.
    if (body !== undefined && isInputRefusal(error)) {
      shadow(context, decided, exchange, { body, answer: { form: "refused" }, units: {} });
    }
    throw error;
  }
}

/** Lets the other version see the same input, where the flag wants that. */
function shadow<Input, Output>(
  context: Context,
  { choice, catalog, manifest }: Decided,
  work: Exchange<Input, Output>,
  answered: Pick<Answered<Input, Output>, "body" | "answer" | "units">,
): void {
  if (choice.shadow === undefined) return;
  const { shadows } = context.isolate;
  shadows.offer(context, choice.shadow, { manifest, catalog: catalog.number, work, ...answered });
}

/** As much as wherever the request may run takes. */
function bodyLimit<Input, Output>(
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
function decodeWithin<Input, Output>(
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
