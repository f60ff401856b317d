import * as v from "valibot";

/** How two answers to the same input are compared, by what they are. */
export const COMPARISON_KINDS = [
  "classification",
  "embedding",
  "text",
  "boxes",
  "segments",
  "tensor",
  "refusal",
] as const;
export type ComparisonKind = (typeof COMPARISON_KINDS)[number];

/** What one shadow found: a distance for each item of the request (row, text, box, tensor). */
export const ShadowComparison = v.object({
  kind: v.picklist(COMPARISON_KINDS),
  items: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  /** Items whose first label is another one; 0 for what has no labels. */
  flips: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  /** One per item, 0 for equal answers. Cosine distance of embeddings; total variation of probabilities; edit distance over the longer text's length; 1 - intersection over union of boxes and of times; largest difference of any element of tensors, absolute up to 1 and relative beyond; of refusals 1 where only one version refuses the input. */
  distances: v.array(v.pipe(v.number(), v.minValue(0))),
});
export type ShadowComparison = v.InferOutput<typeof ShadowComparison>;
