import type { ServedStack } from "../../serve.ts";
import { type Check, hold, rounded } from "../check.ts";
import { cosine } from "../edge/edge-client.ts";

const MODEL = "minilm";
const LEAST_COSINE = 0.98;

/** More than an edge isolate should compute in one go, and than its limits allow. */
const MANY_TEXTS = 300;
const WORDS =
  "the quick brown fox jumps over a lazy dog while seven wizards quote old proverbs".split(" ");

/** The same request, short and then very long: at the edge, and at the origin. */
export const placed: Check<ServedStack> = {
  claim: `a short request to ${MODEL} is answered at the edge, a very long batch at the origin, and the embeddings agree (cosine ≥ ${LEAST_COSINE})`,
  async run(stack) {
    const texts = Array.from({ length: MANY_TEXTS }, (_, text) =>
      Array.from(
        { length: 5 + (text % 20) },
        (_word, at) => WORDS[(text * 7 + at * 3) % WORDS.length],
      ).join(" "),
    );
    const short = await embed(stack, texts.slice(0, 3));
    hold(short.placement === "edge", `the short one was answered at the ${short.placement}`);
    const long = await embed(stack, texts);
    hold(long.placement === "origin", `the long one was answered at the ${long.placement}`);
    hold(long.reason === "over_limit", `the header says why: ${long.reason}`);
    const forced = await embed(stack, texts.slice(0, 3), { "nearside-placement": "origin" });
    hold(forced.reason === "header", `the header says why: ${forced.reason}`);
    let lowest = 1;
    for (let from = 0; from < 60; from += 20) {
      const here = await embed(stack, texts.slice(from, from + 20), {
        "nearside-placement": "edge",
      });
      for (const [at, vector] of here.vectors.entries()) {
        lowest = Math.min(lowest, cosine(vector, long.vectors[from + at] ?? []));
      }
    }
    hold(lowest >= LEAST_COSINE, `the lowest cosine is ${lowest}`);
    return {
      shortPlacement: `${short.placement} (${short.reason})`,
      longPlacement: `${long.placement} (${long.reason})`,
      lowestCosine: rounded(lowest),
    };
  },
};

async function embed(
  { edgeUrl }: ServedStack,
  inputs: readonly string[],
  headers: Readonly<Record<string, string>> = {},
) {
  const response = await fetch(`${edgeUrl}/v1/predict/${MODEL}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ inputs }),
  });
  hold(response.status === 200, `it answered ${response.status}: ${await response.clone().text()}`);
  return {
    vectors: (await response.json()) as number[][],
    placement: response.headers.get("nearside-placement") ?? "",
    reason: response.headers.get("nearside-placement-reason") ?? "",
  };
}
