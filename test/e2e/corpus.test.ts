import path from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type LocalEdge, bundleWorkers, startEdge } from "../../src/cli/local-stack.ts";
import { publishSampleCorpus, SAMPLE_CORPUS } from "../../src/cli/sample-corpus.ts";
import { publishCorpus } from "../../src/publish/corpus/publish-corpus.ts";
import { rowsFrom } from "../../src/publish/corpus/rows.ts";
import { publishFolder } from "../../src/publish/publish.ts";
import { ROOT } from "../../src/publish/workspace.ts";
import { bruteForce, clustered } from "../support/vectors.ts";

const COUNT = 100_000;
const DIMENSIONS = 384;
const QUIET = () => {};

interface Found {
  readonly id: string;
  readonly score: number;
  readonly metadata: Readonly<Record<string, unknown>>;
}

describe("a corpus of 100,000 vectors, in the edge Worker", () => {
  let edge: LocalEdge;
  const vectors = clustered(COUNT, DIMENSIONS);

  const post = async (parameters: object, inputs: unknown = "What is the weather like?") => {
    const response = await fetch(`${edge.edgeUrl}/v1/predict/minilm`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ inputs, parameters }),
    });
    expect([response.status, await response.clone().text()]).toEqual([200, expect.any(String)]);
    return { start: response.headers.get("nearside-start"), found: await response.json() };
  };

  const expected = (query: readonly number[], holds?: (row: number) => boolean): Found[] =>
    bruteForce(vectors, query, 10, holds).map(({ row, score }) => ({
      id: `row-${row}`,
      score,
      metadata: { part: row % 7 },
    }));

  beforeAll(async () => {
    await bundleWorkers();
    edge = await startEdge({ edgePort: 0 });
    const model = await publishFolder(path.join(ROOT, "models/minilm"), edge.target, QUIET);
    const rows = vectors.map((vector, row) => ({
      id: `row-${row}`,
      vector: vector as unknown as number[],
      metadata: { part: row % 7 },
    }));
    const source = {
      ...rowsFrom("rows", rows),
      measure: async () => ({ digest: "it", rows: COUNT }),
    };
    await publishSampleCorpus(edge.target, QUIET);
    await publishCorpus(source, { name: "many", model, texts: false }, edge.target, QUIET);
  });
  afterAll(() => edge?.stop());

  it("answers the ten that brute force finds, restored and warm", async () => {
    const { found: query } = (await post({})) as { found: number[] };
    const cold = await post({ corpus: "many" });
    expect(cold.start).toBe("restored");
    expect(cold.found).toEqual(expected(query));
    const warm = await post({ corpus: "many" });
    expect(warm.start).toBe("warm");
    expect(warm.found).toEqual(cold.found);
  });

  it("has the model's own vectors of texts that brought none", async () => {
    const { found } = await post({ corpus: SAMPLE_CORPUS, top: 1 }, "A man is riding a horse.");
    expect(found).toMatchObject([
      { text: "A man is riding a horse.", score: expect.closeTo(1, 3), metadata: { words: 6 } },
    ]);
  });

  it("is as exact for several texts at once, and under a filter", async () => {
    const texts = ["a cat", "the stock market", "how to bake bread"];
    const { found: queries } = (await post({}, texts)) as { found: number[][] };
    const { found } = await post({ corpus: "many@1", filter: { part: { in: [2, 5] } } }, texts);
    const isMeant = (row: number): boolean => row % 7 === 2 || row % 7 === 5;
    expect(found).toEqual(queries.map((query) => expected(query, isMeant)));
  });
});
