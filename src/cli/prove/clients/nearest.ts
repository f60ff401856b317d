import path from "node:path";

import { KeepAliveClient } from "../../../../test/bench/client.ts";
import { figureOf } from "../../../../test/bench/figure.ts";
import { bruteForce, clustered } from "../../../../test/support/vectors.ts";
import { publishCorpus } from "../../../publish/corpus/publish-corpus.ts";
import { rowsFrom } from "../../../publish/corpus/rows.ts";
import { publishFolder } from "../../../publish/publish.ts";
import { ROOT } from "../../../publish/workspace.ts";
import { type LocalEdge, startEdge } from "../../local-stack.ts";
import { type Check, hold, rounded } from "../check.ts";

const COUNT = 100_000;
const DIMENSIONS = 384;
const TOP = 10;
const MOST_MS = 25;
/** Requests with the corpus, and as many without. */
const REQUESTS = 60;
const TEXTS = [
  "What is the weather like today?",
  "A cat sits on the mat.",
  "The stock market fell by two percent.",
  "How do I bake bread without yeast?",
  "Wo ist der nächste Bahnhof?",
];
const QUIET = (): void => {};

/** A search over 100,000 vectors, published as a user would, from a snapshot. */
export const nearest: Check<undefined> = {
  claim:
    "the ten nearest of 100,000 vectors are those of brute force, in less than 25 ms, restored",
  async run() {
    const edge = await startEdge({ edgePort: 0 });
    try {
      const vectors = clustered(COUNT, DIMENSIONS);
      await publish(edge, vectors);
      const cold = await ask(edge, "first", true);
      hold(cold.start === "restored", `the first answer's start is ${cold.start}`);
      for (const text of TEXTS) {
        const { answer: query } = await ask<number[]>(edge, text, false);
        const { answer } = await ask<{ id: string; score: number }[]>(edge, text, true);
        const found = answer.map(({ id, score }) => ({ row: Number(id), score }));
        const wanted = bruteForce(vectors, query, TOP);
        hold(
          JSON.stringify(found) === JSON.stringify(wanted),
          `for "${text}": ${JSON.stringify(found)}, and not ${JSON.stringify(wanted)}`,
        );
      }
      const { searchMs, embeddingMs } = await measure(edge);
      hold(searchMs < MOST_MS, `a search takes ${searchMs} ms`);
      return { searchMs, embeddingMs, exactSearches: TEXTS.length };
    } finally {
      await edge.stop();
    }
  },
};

async function publish({ target }: LocalEdge, vectors: readonly Float32Array[]): Promise<void> {
  const model = await publishFolder(path.join(ROOT, "models/minilm"), target, QUIET);
  const rows = vectors.map((vector, row) => ({ id: String(row), vector: Array.from(vector) }));
  const source = {
    ...rowsFrom("rows", rows),
    measure: async () => ({ digest: "proof", rows: COUNT }),
  };
  await publishCorpus(source, { name: "proof", model, texts: false }, target, QUIET);
}

const bodyOf = (text: string, withCorpus: boolean): string =>
  JSON.stringify({
    inputs: text,
    parameters: withCorpus ? { corpus: "proof", top: TOP } : {},
  });

async function ask<T>({ edgeUrl }: LocalEdge, text: string, withCorpus: boolean) {
  const response = await fetch(`${edgeUrl}/v1/predict/minilm`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: bodyOf(text, withCorpus),
  });
  hold(response.ok, `${response.status}: ${await response.clone().text()}`);
  const answer = (await response.json()) as T;
  return { start: response.headers.get("nearside-start"), answer };
}

/** The same text with the corpus and without, in turn: the difference is the search. */
async function measure({ edgeUrl }: LocalEdge) {
  const client = new KeepAliveClient();
  const times: Record<"with" | "without", number[]> = { with: [], without: [] };
  const send = (withCorpus: boolean): Promise<number> =>
    client.send({
      url: `${edgeUrl}/v1/predict/minilm`,
      contentType: "application/json",
      body: bodyOf(TEXTS[0] ?? "", withCorpus),
    });
  for (let request = 0; request < REQUESTS; request++) {
    times.with.push(await send(true));
    times.without.push(await send(false));
  }
  client.close();
  const embeddingMs = figureOf(times.without).median;
  return { searchMs: rounded(figureOf(times.with).median - embeddingMs, 2), embeddingMs };
}
