import { mulberry32 } from "./random.ts";

/** Runs the model on what comes next: the whole prompt first, then one token at a time. */
export type Step<S> = (
  tokens: readonly number[],
  state: S | undefined,
) => Promise<{
  /** Of the token after the last of `tokens`. */
  readonly logits: ArrayLike<number>;
  readonly state: S;
}>;

export interface SamplingOptions {
  /** 0 always takes the likeliest token; 1 samples what the model says; more is wilder. */
  readonly temperature: number;
  /** Only the likeliest tokens that together have this probability: above 0, at most 1. */
  readonly topP: number;
  /** The same seed gives the same text. */
  readonly seed: number;
  readonly maxTokens: number;
  /** The text ends before the first of these. */
  readonly stop: readonly string[];
}

export interface Decoder {
  /** The token that ends a text. */
  readonly end: number;
  readonly decode: (tokens: readonly number[]) => string;
}

export interface Piece {
  readonly text: string;
  /** Sampled so far; the one that ended the text counts too. */
  readonly tokens: number;
  /** In the last piece: why it is the last. */
  readonly finish?: "stop" | "length";
}

/**
 * Goes on from a prompt, piece by piece. What may be the start of a stop string is held back until it
 * is known not to be.
 *
 * @example
 * const options = { temperature: 0.7, topP: 0.95, seed: 1, maxTokens: 200, stop: ["\n\n"] };
 * for await (const { text } of generate(step, encodePrompt("Returns "), options, { end: END, decode })) {
 *   process.stdout.write(text);
 * }
 */
export async function* generate<S>(
  step: Step<S>,
  prompt: readonly number[],
  options: SamplingOptions,
  { end, decode }: Decoder,
): AsyncGenerator<Piece, void> {
  const random = mulberry32(options.seed);
  const stop = options.stop.filter((text) => text !== "");
  let state: S | undefined;
  let next = prompt;
  let held = "";
  for (let tokens = 1; tokens <= options.maxTokens; tokens++) {
    const { logits, state: after } = await step(next, state);
    const token = chooseToken(logits, options, random);
    if (token === end) return yield { text: held, tokens, finish: "stop" };
    held += decode([token]);
    const stopAt = firstOf(stop, held);
    if (stopAt >= 0) return yield { text: held.slice(0, stopAt), tokens, finish: "stop" };
    const ready = held.length - longestStart(stop, held);
    if (ready > 0) yield { text: held.slice(0, ready), tokens };
    held = held.slice(ready);
    state = after;
    next = [token];
  }
  yield { text: held, tokens: options.maxTokens, finish: "length" };
}

/** The likeliest token at temperature 0, else one drawn from the nucleus (Holtzman et al. 2019). */
export function chooseToken(
  logits: ArrayLike<number>,
  { temperature, topP }: Pick<SamplingOptions, "temperature" | "topP">,
  random: () => number,
): number {
  const ranked = Array.from(logits, (logit, token) => ({ token, logit })).toSorted(
    (a, b) => b.logit - a.logit || a.token - b.token,
  );
  const [likeliest] = ranked;
  if (likeliest === undefined) throw new RangeError("There are no logits to choose from.");
  if (temperature === 0) return likeliest.token;
  const shares = ranked.map(({ logit }) => Math.exp((logit - likeliest.logit) / temperature));
  const total = shares.reduce((sum, share) => sum + share, 0);
  let nucleus = 0;
  let count = 0;
  while (count < shares.length && (count === 0 || nucleus < topP * total)) {
    nucleus += shares[count++] ?? 0;
  }
  let left = random() * nucleus;
  for (const [rank, { token }] of ranked.slice(0, count).entries()) {
    left -= shares[rank] ?? 0;
    if (left < 0) return token;
  }
  // Rounding left a crumb.
  return ranked[count - 1]?.token ?? likeliest.token;
}

/** Where the first of them begins, or -1. */
function firstOf(texts: readonly string[], within: string): number {
  const places = texts.map((text) => within.indexOf(text)).filter((place) => place >= 0);
  return places.length === 0 ? -1 : Math.min(...places);
}

/** How many last characters of `within` are the beginning of one of `texts`. */
function longestStart(texts: readonly string[], within: string): number {
  let longest = 0;
  for (const text of texts) {
    for (let length = Math.min(text.length - 1, within.length); length > longest; length--) {
      if (within.endsWith(text.slice(0, length))) longest = length;
    }
  }
  return longest;
}
