import { decode, encodePrompt, END } from "../../models/scribe/alphabet.ts";
import { generate, type Piece, type SamplingOptions } from "../../models/scribe/sample.ts";
import type { Manifest } from "../catalog/manifest.ts";
import { NearsideError } from "../errors.ts";
import type { Tensor } from "../runtime/tensor.ts";
import type { Call, Origin } from "./call.ts";
import type { OriginSession } from "./session.ts";

/** A text that is being written. */
export interface Generation {
  readonly promptTokens: number;
  /** Must be read to its end, or ended: that is what stops the model. */
  readonly pieces: AsyncGenerator<Piece, void>;
}

/**
 * Begins to go on from a prompt; the model is loaded, and nothing is computed before the first piece is
 * asked for.
 *
 * @throws NearsideError `input_too_long`, and what loading throws
 */
export async function beginGeneration(
  origin: Origin,
  manifest: Manifest,
  prompt: string,
  options: SamplingOptions,
  call: Pick<Call, "signal" | "deadline">,
): Promise<Generation> {
  const tokens = encodePrompt(prompt);
  const room = contextOf(manifest) - tokens.length;
  if (room < 1) {
    throw new NearsideError(
      "input_too_long",
      `The prompt has ${tokens.length} tokens; with the answer there may be ${contextOf(manifest)}.`,
    );
  }
  const session = await origin.models.session(manifest);
  const fitting = { ...options, maxTokens: Math.min(options.maxTokens, room) };
  return {
    promptTokens: tokens.length,
    pieces: piecesOf(origin, { manifest, session, tokens, options: fitting }, call),
  };
}

function contextOf({ name, task }: Manifest): number {
  if (task.type === "text-generation") return task.contextCharacters;
  throw new NearsideError("invalid_request", `"${name}" generates no text.`, { field: "model" });
}

interface Work {
  readonly manifest: Manifest;
  readonly session: OriginSession;
  readonly tokens: readonly number[];
  readonly options: SamplingOptions;
}

async function* piecesOf(
  { metrics }: Origin,
  { manifest, session, tokens, options }: Work,
  { signal, deadline }: Pick<Call, "signal" | "deadline">,
): AsyncGenerator<Piece, void> {
  const { name } = manifest;
  const fresh = freshState(manifest);
  metrics.count("generations", name);
  let hasEnded = false;
  const step = async (next: readonly number[], state: Tensor | undefined) => {
    try {
      // The deadline is that of the first token: a stream that has begun is being read.
      const turn = state === undefined ? { signal, deadline } : { signal };
      const feeds = { token: tokenTensor(next), state: state ?? fresh };
      const { logits, next_state: after } = await session.run(feeds, turn);
      if (logits?.datatype !== "FP32" || after === undefined) throw notRecurrent(name);
      metrics.count("generated_tokens", name);
      return { logits: logits.data.slice(-(logits.shape.at(-1) ?? 0)), state: after };
    } catch (error) {
      hasEnded = !signal.aborted;
      throw error;
    }
  };
  try {
    yield* generate(step, tokens, options, { end: END, decode });
    hasEnded = true;
  } finally {
    if (!hasEnded) metrics.count("cancelled_generations", name);
  }
}

function tokenTensor(tokens: readonly number[]): Tensor {
  return {
    datatype: "INT64",
    shape: [1, tokens.length],
    data: BigInt64Array.from(tokens, BigInt),
  };
}

/** Zeros: `state` is FP32 `[1, batch, units]`. */
function freshState({ name, inputs }: Manifest): Tensor {
  const units = inputs.find((input) => input.name === "state")?.shape[2];
  if (units === undefined || units < 1) throw notRecurrent(name);
  return { datatype: "FP32", shape: [1, 1, units], data: new Float32Array(units) };
}

function notRecurrent(name: string): NearsideError {
  return new NearsideError("inference_failed", `"${name}" is not built as text models are here.`);
}
