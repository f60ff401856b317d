import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";

import { edgeOf } from "../../support/edge.ts";
import { publishEmbedding } from "../../support/embedding-model.ts";
import { publishGraph } from "../../support/publish-graph.ts";
import { BYTES_TASK, TABULAR_TASK, bytesGraph, putVersions, tabularGraph } from "./models.ts";

const edge = edgeOf();
const predict = (path: string, body: object) => edge.post(`/v1/predict/${path}`, body);
const answer = async (path: string, body: object): Promise<unknown> =>
  (await predict(path, body)).json();
const problem = async (response: Response): Promise<object> => ({
  status: response.status,
  ...(await response.json<object>()),
});

beforeAll(async () => {
  const limits = { maxBatch: 3, maxBodyBytes: 10_000 };
  await putVersions(env.CATALOG, [
    await publishGraph(env.MODELS, "shape", tabularGraph(), { task: TABULAR_TASK, limits }),
    await publishGraph(env.MODELS, "bytes", bytesGraph(), { task: BYTES_TASK, limits }),
    await publishEmbedding(env.MODELS, "words"),
  ]);
});

/** What Hugging Face's clients send to the address of an endpoint. */
describe("POST /v1/predict/{model} for a client of Hugging Face", () => {
  it("compares a sentence with others", async () => {
    const inputs = { source_sentence: "north", sentences: ["north", "east", "south"] };
    const cosines = await answer("words", { inputs });
    expect(cosines).toEqual([expect.closeTo(1, 5), expect.closeTo(0.5, 5), expect.closeTo(0, 5)]);
    expect(await answer("words?task=sentence-similarity", { inputs })).toEqual(cosines);
  });

  it("takes a text's parameters beside it, those of `parameters` first", async () => {
    const cut = await answer("words", { inputs: "north", dimensions: 2 });
    expect(cut).toEqual([1, 0]);
    const both = { inputs: "north", dimensions: 1, parameters: { dimensions: 2 } };
    expect(await answer("words?task=feature-extraction", both)).toEqual(cut);
    expect(await problem(await predict("words", { inputs: "a", normalize: false }))).toMatchObject({
      status: 422,
      field: "parameters.normalize",
    });
  });

  it("answers one text with a list of lists where text-classification is asked for", async () => {
    const plain = await answer("bytes", { inputs: "zzzz" });
    expect(plain).toMatchObject([{ label: "high" }, { label: "low" }]);
    const asked = "bytes?task=text-classification";
    expect(await answer(asked, { inputs: "zzzz" })).toEqual([plain]);
    expect(await answer(asked, { inputs: ["zzzz"] })).toEqual([plain]);
    expect(
      await answer("bytes", { inputs: "zzzz", parameters: { task: "text-classification" } }),
    ).toEqual([plain]);
    expect(await answer(asked, { inputs: ["zzzz", "zzzz"], parameters: { top_k: 1 } })).toEqual([
      [expect.objectContaining({ label: "high" })],
      [expect.objectContaining({ label: "high" })],
    ]);
  });

  it("answers a table with a number for each row", async () => {
    const inputs = { data: { length: ["3", "1"], width: ["1", "3"] } };
    expect(await answer("shape", { inputs })).toEqual([0, 1]);
    expect(await answer("shape?task=tabular-classification", { inputs })).toEqual([0, 1]);
  });

  it("takes a file without a content type for bytes", async () => {
    const response = await edge.send("/v1/predict/bytes?top_k=1", {
      method: "POST",
      body: new TextEncoder().encode("zzzz"),
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject([{ label: "high" }]);
  });

  it.each([
    ["words", "text-classification", "feature-extraction or sentence-similarity"],
    ["bytes", "audio-classification", "text-classification"],
    ["shape", "", "tabular-classification"],
    ["bytes", "constructor", "text-classification"],
  ])("refuses that %s does %j", async (model, task, known) => {
    expect(await problem(await predict(`${model}?task=${task}`, { inputs: [1, 2] }))).toMatchObject(
      {
        status: 422,
        code: "invalid_input",
        field: "parameters.task",
        detail: expect.stringContaining(known),
      },
    );
  });

  it.each([
    [{ source_sentence: "a" }, "inputs.sentences"],
    [{ source_sentence: 5, sentences: ["a"] }, "inputs.source_sentence"],
    [{ sourceSentence: "a", sentences: ["a"] }, "inputs.source_sentence"],
    [{ source_sentence: "a", sentences: "b" }, "inputs.sentences"],
    [{ source_sentence: "a", sentences: [[]] }, "inputs.sentences[0]"],
  ])("refuses to compare %j", async (inputs, field) => {
    expect(await problem(await predict("words", { inputs }))).toMatchObject({
      status: 422,
      code: "invalid_input",
      field,
    });
  });
});
