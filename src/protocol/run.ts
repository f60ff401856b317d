import type { Units } from "../billing/meter.ts";
import type { Context } from "../context.ts";
import { isOfCorpus, type Sought } from "../corpus/request.ts";
import { NearsideError } from "../errors.ts";
import type { OriginCaller } from "../origin/call-origin.ts";
import type { Answer } from "../rollout/compare/index.ts";
import { afterEdgeFailure, afterOriginFailure, type Placed } from "../routing/placement.ts";
import type { Start } from "../runtime/host.ts";
import { originLimits, type TaskLimits } from "../tasks/limits.ts";
import type { Decided } from "./decide.ts";
import type { Exchange } from "./pipeline.ts";

/** A model's pool, for one request. */
export interface Origin {
  readonly caller: OriginCaller;
  readonly limits: TaskLimits;
  /** What the task needs beside the tensors. @throws NearsideError `model_damaged`, `model_unavailable` */
  resources(): Promise<unknown>;
  /** To be called with the headers of the pool's answers. */
  onAnswer(headers: Headers): void;
}

/** An answer from a pool. */
export interface Forwarded {
  readonly response: Response;
  readonly units: Units;
}

interface Ran extends Forwarded {
  readonly placed: Placed;
  /**
   * What a shadow is compared with; only the edge's are compared. A shadow has no corpus of its own: this is the
   * answer, and what it took, before it was ranked.
   */
  readonly comparable?: { readonly answer: Answer; readonly units: Units };
}

interface Job<Input> {
  readonly input: Input;
  readonly body: Uint8Array<ArrayBuffer>;
  /** Whether the input is more than the edge takes. */
  readonly overLimit: boolean;
  readonly placed: Placed;
  /** The corpus that the answer is to be ranked against. */
  readonly sought: Sought | undefined;
}

/** Runs a request where it was placed, and once elsewhere when that fails and elsewhere would do. */
export async function run<Input, Output>(
  context: Context,
  decided: Decided,
  exchange: Exchange<Input, Output>,
  job: Job<Input>,
): Promise<Ran> {
  const { placed } = job;
  decided.meter.placed(placed);
  try {
    const ran =
      placed.placement === "edge"
        ? await atTheEdge(context, decided, exchange, job)
        : await atTheOrigin(context, decided, exchange, job);
    return { ...ran, placed };
  } catch (error) {
    const elsewhere =
      error instanceof NearsideError && !isOfCorpus(error) && placeAfter(error, decided, job);
    if (!elsewhere) throw error;
    const { name: model, version } = decided.manifest;
    context.log.warn("placed_elsewhere", { code: error.code, model, version, ...elsewhere });
    return run(context, decided, exchange, { ...job, placed: elsewhere });
  }
}

function placeAfter(
  { code }: NearsideError,
  { wishes }: Decided,
  { placed, overLimit }: Job<unknown>,
): Placed | undefined {
  if (placed.placement === "edge") return afterEdgeFailure(placed, code, wishes);
  const edgeCan = wishes.hasEdgeBuild && wishes.fits && !overLimit;
  return edgeCan ? afterOriginFailure(placed, code) : undefined;
}

async function atTheEdge<Input, Output>(
  context: Context,
  { manifest, meter, whyNoOrigin }: Decided,
  exchange: Exchange<Input, Output>,
  { input, sought }: Job<Input>,
): Promise<Omit<Ran, "placed">> {
  const { isolate, timing } = context;
  if (manifest.edge === false) {
    throw new NearsideError(
      "no_edge_build",
      whyNoOrigin ??
        `"${manifest.name}" runs in an origin pool only, by another route or not at all.`,
      { field: "model" },
    );
  }
  if (sought !== undefined) isolate.host.checkFits(manifest, sought.corpus);
  const asked = context.now();
  let start: Start = "warm";
  const ranking = ranker(context, exchange, sought);
  const output = await isolate.host.use(manifest, context, (model, how) => {
    start = how;
    meter.modelReady(how);
    if (how !== "warm") timing.add("load", context.now() - asked);
    return timing.measureSync("infer", () => exchange.run(model, input));
  });
  const ranked = await ranking(output);
  const response = timing.measureSync("encode", () =>
    exchange.encode(ranked.output, input, manifest),
  );
  response.headers.set("nearside-start", start === "warm" ? ranked.start : start);
  return {
    response,
    units: exchange.units(ranked.output, input),
    comparable: { answer: exchange.answerOf(output), units: exchange.units(output, input) },
  };
}

async function atTheOrigin<Input, Output>(
  context: Context,
  { manifest, origin }: Decided,
  exchange: Exchange<Input, Output>,
  { input, body, sought }: Job<Input>,
): Promise<Forwarded> {
  if (origin === undefined) throw new Error("A request is placed at the origin only with a route.");
  const { isolate, timing } = context;
  if (sought !== undefined) isolate.host.checkFits(sought.corpus);
  const notes: Record<string, string> = {};
  const ranking = ranker(context, exchange, sought);
  const forwarded = await timing.measure("origin", () =>
    exchange.forward(
      {
        caller: origin,
        limits: originLimits(origin.route),
        // Parsed already where the model is here.
        resources: () =>
          isolate.host.isLoaded(manifest)
            ? isolate.host.use(manifest, context, ({ resources }) => resources)
            : isolate.resources.of(manifest, context),
        onAnswer: (headers) => Object.assign(notes, notesOf(headers)),
      },
      input,
      body,
      manifest,
      async (output) => (await ranking(output)).output,
    ),
  );
  for (const [name, value] of Object.entries(notes)) forwarded.response.headers.set(name, value);
  return forwarded;
}

/**
 * Ranks an answer against the corpus that the request names, which begins to load now, while the model does. The
 * model is no longer in use by then: nobody holds the one while waiting for room for the other.
 */
function ranker<Input, Output>(
  context: Context,
  { corpora }: Exchange<Input, Output>,
  sought: Sought | undefined,
): (output: Output) => Promise<{ readonly output: Output; readonly start: Start }> {
  if (corpora === undefined || sought === undefined) {
    return (output) => Promise.resolve({ output, start: "warm" });
  }
  const { isolate, timing } = context;
  const { corpus } = sought;
  let start: Start = isolate.host.isLoaded(corpus) ? "warm" : "restored";
  if (start === "restored") isolate.host.useCorpus(corpus, context, () => {}).catch(() => {});
  return async (output) => {
    const found = await isolate.host.useCorpus(corpus, context, (loaded, how) => {
      if (how !== "warm") start = how;
      return timing.measureSync("search", () => corpora.rank(loaded, sought, output));
    });
    return { output: found, start };
  };
}

/** What the origin Worker says of how it got an answer: nothing else that it says reaches the caller. */
const NOTES = {
  "nearside-endpoint-ms": /^\d{1,9}(?:\.\d{1,6})?$/,
  "nearside-attempts": /^\d{1,3}$/,
  "nearside-hedged": /^(?:true|false)$/,
};

export function notesOf(headers: Headers): Record<string, string> {
  const notes: Record<string, string> = {};
  for (const [name, form] of Object.entries(NOTES)) {
    const value = headers.get(name);
    if (value !== null && form.test(value)) notes[name] = value;
  }
  return notes;
}
