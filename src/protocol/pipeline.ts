import type { Principal } from "../accounts/principal.ts";
import type { Manifest } from "../catalog/manifest.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Context } from "../context.ts";
import type { LoadedCorpus } from "../corpus/load.ts";
import { isOfCorpus, type Sought } from "../corpus/request.ts";
import { isInputRefusal } from "../errors.ts";
import type { Target } from "../routing/choose.ts";
import { edgeState } from "../routing/edge-state.ts";
import { place } from "../routing/placement.ts";
import type { Answered, Work } from "../routing/shadow.ts";
import type { TaskLimits } from "../tasks/limits.ts";
import type { Units } from "../billing/meter.ts";
import { identify, refuseUnpaid } from "./authenticate.ts";
import { type Billed, bill } from "./bill.ts";
import { Charge } from "./charge.ts";
import { countFailure, type Decided, decide, stamp } from "./decide.ts";
import { answerOnce, onceOnly } from "./idempotency.ts";
import { bodyLimit, decodeWithin } from "./within-limits.ts";
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
    /** Ranks the answer against the corpus that the request names, if it names one. */
    rank: (output: Output) => Promise<Output>,
  ): Promise<Forwarded>;
  /** For answers that can be ranked against a corpus. */
  readonly corpora?: CorpusWork<Input, Output>;
}

/** How a protocol searches a corpus. */
export interface CorpusWork<Input, Output> {
  /** The corpus that a request names; undefined when it names none. @throws NearsideError */
  seek(input: Input, catalog: Catalog, manifest: Manifest): Sought | undefined;
  rank(corpus: LoadedCorpus, sought: Sought, output: Output): Output;
}

/** The way of every inference request, whatever its protocol. */
export async function answer<Input, Output>(
  context: Context,
  target: Target,
  request: Request,
  exchange: Exchange<Input, Output>,
): Promise<Response> {
  const { model } = target;
  const principal = await identify(context, request, { scope: "predict", model });
  return answerIdentified(context, { target, request, principal }, exchange);
}

/** A request whose caller is known, and may use the model. */
export interface Identified {
  readonly target: Target;
  readonly request: Request;
  readonly principal: Principal | undefined;
  /** Who the request is for, where its body says so. */
  readonly user?: string | undefined;
}

/** The same for a protocol whose bodies name the model, and are read before it is known. */
export async function answerIdentified<Input, Output>(
  context: Context,
  { target, request, principal, user }: Identified,
  exchange: Exchange<Input, Output>,
): Promise<Response> {
  const once = await onceOnly(context, request, principal);
  const decided = await decide(context, target, request, {
    protocol: "open-inference",
    principal,
    once,
    user,
  });
  refuseUnpaid(context, request, decided);
  let body: Uint8Array<ArrayBuffer> | undefined;
  try {
    const maxBytes = bodyLimit(decided, exchange);
    const read = (body = await context.timing.measure("decode", () =>
      exchange.read(decided.manifest, maxBytes),
    ));
    return await answerOnce(context, once, request, read, () =>
      answerRead(context, decided, exchange, read),
    );
  } catch (error) {
    countFailure(decided, error);
    // Would the other version have refused it, too? A version that takes less than its predecessor is worse.
    if (body !== undefined && isInputRefusal(error) && !isOfCorpus(error)) {
      shadow(context, decided, exchange, { body, answer: { form: "refused" }, units: {} });
    }
    throw error;
  }
}

async function answerRead<Input, Output>(
  context: Context,
  decided: Decided,
  exchange: Exchange<Input, Output>,
  body: Uint8Array<ArrayBuffer>,
): Promise<Response> {
  const { isolate, timing } = context;
  const { manifest, meter, wishes } = decided;
  const { input, overLimit } = timing.measureSync("decode", () =>
    decodeWithin(decided, exchange, body),
  );
  meter.inputReady();

  const sought = exchange.corpora?.seek(input, decided.catalog, manifest);
  const units = {
    ...exchange.estimate(input),
    ...(sought && { vectors: sought.vectors }),
  };
  const charge = await Charge.admit(context, decided, units);
  try {
    const state = edgeState(isolate.host, manifest, { overLimit, units, now: context.now() });
    const placed = place(wishes, state);
    const ran = await run(context, decided, exchange, { input, body, overLimit, placed, sought });
    stamp(ran.response, decided, ran.placed);

    const { response, billing }: Billed = charge
      ? await timing.measure("bill", () => bill(charge, ran, ran.placed.placement, body))
      : { ...ran, billing: undefined };
    meter.end({ outcome: "ok", status: response.status, units: ran.units, billing });
    if (ran.comparable !== undefined) {
      shadow(context, decided, exchange, { body, ...ran.comparable });
    }
    return response;
  } catch (error) {
    charge?.release();
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
