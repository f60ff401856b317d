import type { Units } from "../billing/meter.ts";
import type { Context } from "../context.ts";
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
  /** For a shadow; only the edge's are compared. */
  readonly answer?: Answer;
}

interface Job<Input> {
  readonly input: Input;
  readonly body: Uint8Array<ArrayBuffer>;
  /** Whether the input is more than the edge takes. */
  readonly overLimit: boolean;
  readonly placed: Placed;
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
    const elsewhere = error instanceof NearsideError && placeAfter(error, decided, job);
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
  { input }: Job<Input>,
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
  const asked = context.now();
  let start: Start = "warm";
  const output = await isolate.host.use(manifest, context, (model, how) => {
    start = how;
    meter.modelReady(how);
    if (how !== "warm") timing.add("load", context.now() - asked);
    return timing.measureSync("infer", () => exchange.run(model, input));
  });
  const response = timing.measureSync("encode", () => exchange.encode(output, input, manifest));
  response.headers.set("nearside-start", start);
  return { response, units: exchange.units(output, input), answer: exchange.answerOf(output) };
}

async function atTheOrigin<Input, Output>(
  context: Context,
  { manifest, origin }: Decided,
  exchange: Exchange<Input, Output>,
  { input, body }: Job<Input>,
): Promise<Forwarded> {
  if (origin === undefined) throw new Error("A request is placed at the origin only with a route.");
  const { isolate, timing } = context;
  const notes: Record<string, string> = {};
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
    ),
  );
  for (const [name, value] of Object.entries(notes)) forwarded.response.headers.set(name, value);
  return forwarded;
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
