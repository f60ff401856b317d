import { checkBatch, invalidInput, kindOf } from "./inputs.ts";

/**
 * Whether inputs are those of Hugging Face's `sentence-similarity`:
 * `{"source_sentence": "…", "sentences": ["…"]}`.
 */
export function isComparison(inputs: unknown): inputs is Readonly<Record<string, unknown>> {
  return typeof inputs === "object" && inputs !== null && !Array.isArray(inputs);
}

/**
 * The sentence that others are compared with, then the others.
 *
 * @throws NearsideError `invalid_input`, `batch_too_large`
 */
export function comparedTexts(
  { source_sentence: source, sentences }: Readonly<Record<string, unknown>>,
  maxBatch: number,
): string[] {
  if (typeof source !== "string") {
    throw invalidInput("inputs.source_sentence", `must be a string, not ${kindOf(source)}`);
  }
  if (!Array.isArray(sentences) || sentences.length === 0) {
    throw invalidInput("inputs.sentences", "must be a non-empty array of strings");
  }
  checkBatch(1 + sentences.length, maxBatch);
  const texts = [source];
  for (const [index, sentence] of (sentences as readonly unknown[]).entries()) {
    if (typeof sentence !== "string") {
      throw invalidInput(`inputs.sentences[${index}]`, `must be a string, not ${kindOf(sentence)}`);
    }
    texts.push(sentence);
  }
  return texts;
}

/** Where text `index` of `comparedTexts` stands in the request. */
export function comparedField(index: number): string {
  return index === 0 ? "inputs.source_sentence" : `inputs.sentences[${index - 1}]`;
}

/**
 * The cosine of the first vector with each of the others.
 *
 * @param vectors of length 1
 */
export function cosines([source, ...others]: readonly Float32Array[]): number[] {
  return others.map((other) => {
    let dot = 0;
    for (const [at, value] of other.entries()) dot += value * (source?.[at] ?? 0);
    // Rounding may lead a little beyond.
    return Math.min(1, Math.max(-1, dot));
  });
}
