import { readFile } from "node:fs/promises";
import path from "node:path";

import { InferenceClient, InferenceClientProviderApiError } from "@huggingface/inference";
import OpenAI from "openai";
import { beforeAll, describe, expect, it } from "vitest";

import fixtures from "../../models/minilm/fixtures.json";
import { readExample } from "../../src/cli/examples.ts";
import { cosine, predict } from "../../src/cli/prove/edge/edge-client.ts";
import { QUICK_START, tokenizedSentences } from "../../src/cli/prove/edge/sentences.ts";
import { ROOT } from "../../src/publish/workspace.ts";
import { V2Client, V2Error } from "../support/v2-client.ts";
import { served } from "./served.ts";

/** Of a similarity, in int8. */
const TOLERANCE = 0.02;
const DIMENSIONS = 384;

const SENTENCES = [...QUICK_START.sentences];
const readSpeech = async () =>
  new Uint8Array(await readFile(path.join(ROOT, "models/vad/samples/speech.wav")));

const stack = served();

const predicted = <T>(model: string, inputs: unknown): Promise<T> =>
  predict<T>(stack, model, { inputs });

/** fp32's vectors of the quick start, by the model's authors. */
function authorsVectors(): number[][] {
  const { data } = fixtures.cases[0]?.expected.sentence_embedding ?? { data: [] };
  return SENTENCES.map((_, row) => data.slice(row * DIMENSIONS, (row + 1) * DIMENSIONS));
}

/** How far vectors of the quick start are from its authors': the lowest cosine, and the largest error of a similarity. */
function againstAuthors(vectors: readonly (readonly number[])[]) {
  const at = (row: number): readonly number[] => vectors[row] ?? [];
  const cosines = authorsVectors().map((vector, row) => cosine(at(row), vector));
  const errors = QUICK_START.similarities.map(([a, b, published]) =>
    Math.abs(cosine(at(a), at(b)) - published),
  );
  return { lowestCosine: Math.min(...cosines), largestError: Math.max(...errors) };
}

/** What int8 may be away from fp32. */
const CLOSE = {
  lowestCosine: expect.toSatisfy((value: number) => value >= 0.985, "at least 0.985") as number,
  largestError: expect.toSatisfy((value: number) => value <= TOLERANCE, "0.02 at most") as number,
};

describe("the official client of OpenAI", () => {
  let client: OpenAI;
  beforeAll(() => {
    client = new OpenAI({ baseURL: `${stack.edgeUrl}/v1`, apiKey: "unused", maxRetries: 0 });
  });
  const embed = async (body: Omit<OpenAI.EmbeddingCreateParams, "model">) =>
    client.embeddings.create({ model: "minilm", ...body });
  const vectorsOf = ({ data }: OpenAI.CreateEmbeddingResponse) =>
    data.map(({ embedding }) => embedding);

  it("gets the authors' embeddings, in base64 as it asks by itself", async () => {
    const answer = await embed({ input: SENTENCES });
    expect(againstAuthors(vectorsOf(answer))).toEqual(CLOSE);
    expect(vectorsOf(answer)).toEqual(await predicted("minilm", SENTENCES));
    expect(answer).toMatchObject({ object: "list", model: "minilm" });
    // As many as the authors' tokenizer makes, padding not counted.
    const mask = fixtures.cases[0]?.inputs.attention_mask.data ?? [];
    const tokens = mask.reduce((sum, one) => sum + one, 0);
    expect(answer.usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens });
  });

  it("gets the same as numbers", async () => {
    const floats = await embed({ input: SENTENCES[0] ?? "", encoding_format: "float" });
    expect(vectorsOf(floats)).toEqual(vectorsOf(await embed({ input: [SENTENCES[0] ?? ""] })));
  });

  it("gets a text's embedding for its tokens", async () => {
    const some = (await tokenizedSentences()).slice(0, 3);
    const [first] = some;
    if (first === undefined) throw new Error("There are no sentences.");
    const texts = vectorsOf(await embed({ input: some.map(({ text }) => text) }));
    expect(vectorsOf(await embed({ input: some.map(({ ids }) => ids) }))).toEqual(texts);
    const bare = vectorsOf(await embed({ input: first.ids.slice(1, -1) }));
    expect(cosine(bare[0] ?? [], texts[0] ?? [])).toBeGreaterThan(0.999);
  });

  it("gets as many dimensions as it asks for, of length 1", async () => {
    const [whole = []] = vectorsOf(await embed({ input: SENTENCES[1] ?? "" }));
    const [cut = []] = vectorsOf(await embed({ input: SENTENCES[1] ?? "", dimensions: 64 }));
    expect(cut).toHaveLength(64);
    expect(Math.hypot(...cut)).toBeCloseTo(1, 5);
    expect(cosine(cut, whole.slice(0, 64))).toBeCloseTo(1, 6);
  });

  it("lists and finds the models that answer it", async () => {
    const names: string[] = [];
    for await (const { id } of client.models.list()) names.push(id);
    expect(names).toEqual(expect.arrayContaining(["minilm", "scribe"]));
    expect(names).not.toContain("iris");
    expect(await client.models.retrieve("minilm")).toMatchObject({ id: "minilm", object: "model" });
    await expect(client.models.retrieve("iris")).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  it("completes a text, at once and as it is written", async () => {
    const asked = { model: "scribe", prompt: "Returns a promise ", max_tokens: 24, seed: 3 };
    const whole = await client.completions.create(asked);
    const text = whole.choices[0]?.text ?? "";
    expect(text.length).toBeGreaterThan(0);
    expect(whole.usage?.completion_tokens).toBeGreaterThan(0);
    let streamed = "";
    for await (const chunk of await client.completions.create({ ...asked, stream: true })) {
      streamed += chunk.choices[0]?.text ?? "";
    }
    expect(streamed).toBe(text);
  });

  it("chats, at once and as it is written", async () => {
    const messages = [{ role: "user" as const, content: "Returns a promise " }];
    const asked = { model: "scribe", messages, max_tokens: 24, seed: 3 };
    const whole = await client.chat.completions.create(asked);
    const stream = await client.chat.completions.create({
      ...asked,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let used: OpenAI.CompletionUsage | null | undefined;
    for await (const { choices, usage } of stream) {
      text += choices[0]?.delta.content ?? "";
      used = usage ?? used;
    }
    expect(text).toBe(whole.choices[0]?.message.content);
    expect(used).toEqual(whole.usage);
  });

  it.each<[string, new (...words: never[]) => Error, object, object]>([
    [
      "a model that is not there",
      OpenAI.NotFoundError,
      { model: "nobody", input: "a" },
      { status: 404, code: "model_not_found", param: "model", type: "invalid_request_error" },
    ],
    [
      "no input",
      OpenAI.BadRequestError,
      { model: "minilm", input: [] },
      { status: 400, code: "invalid_request", param: "input" },
    ],
    [
      "a token of another tokenizer",
      OpenAI.UnprocessableEntityError,
      { model: "minilm", input: [100_257] },
      { status: 422, code: "invalid_input", param: "input" },
    ],
    [
      "a model of something else",
      OpenAI.BadRequestError,
      { model: "iris", input: "a" },
      { status: 400, code: "invalid_request", param: "model" },
    ],
  ])("throws its own error for %s", async (_, kind, body, fields) => {
    const asking = client.embeddings.create(body as OpenAI.EmbeddingCreateParams);
    const error: unknown = await asking.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(kind);
    expect(error).toMatchObject(fields);
  });

  it("throws its own error for a key that nobody issued", async () => {
    const stranger = client.withOptions({ apiKey: "nsk_live_nobody_issued_this" });
    await expect(stranger.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    await expect(stranger.embeddings.create({ model: "minilm", input: "a" })).rejects.toMatchObject(
      { status: 401, type: "authentication_error" },
    );
  });
});

describe("the official client of Hugging Face", () => {
  const client = new InferenceClient();
  const endpointUrl = (model: string, task?: string): string =>
    `${stack.edgeUrl}/v1/predict/${model}${task === undefined ? "" : `?task=${task}`}`;

  it("extracts features", async () => {
    const vectors = await client.featureExtraction({
      endpointUrl: endpointUrl("minilm"),
      inputs: SENTENCES,
    });
    expect(againstAuthors(vectors as number[][])).toEqual(CLOSE);
    const one = await client.featureExtraction({
      endpointUrl: endpointUrl("minilm", "feature-extraction"),
      inputs: SENTENCES[0] ?? "",
      normalize: true,
      truncate: true,
      dimensions: 64,
    });
    expect(one).toHaveLength(64);
    expect(cosine(one as number[], (vectors as number[][])[0]?.slice(0, 64) ?? [])).toBeCloseTo(
      1,
      5,
    );
  });

  it("compares sentences", async () => {
    const [source = "", ...sentences] = SENTENCES;
    const cosines = await client.sentenceSimilarity({
      endpointUrl: endpointUrl("minilm"),
      inputs: { source_sentence: source, sentences },
    });
    const [first, second] = QUICK_START.similarities;
    expect(Math.abs((cosines[0] ?? 0) - first[2])).toBeLessThan(TOLERANCE);
    expect(Math.abs((cosines[1] ?? 0) - second[2])).toBeLessThan(TOLERANCE);
    const vectors = await predicted<number[][]>("minilm", SENTENCES);
    expect(cosines[0]).toBeCloseTo(cosine(vectors[0] ?? [], vectors[1] ?? []), 5);
  });

  it.each([
    ["guesslang", "def add(a, b):\n    return a + b\n\nprint(add(1, 2))\n", "py"],
    ["lande", "Millä kielellä tämä lause on kirjoitettu?", "fin"],
  ])("classifies a text by %s", async (model, inputs, label) => {
    const labels = await client.textClassification({
      endpointUrl: endpointUrl(model, "text-classification"),
      inputs,
    });
    expect(labels[0]?.label).toBe(label);
    expect(labels).toEqual(await predicted(model, inputs));
  });

  it("classifies a recording, whole or by segments", async () => {
    const speech = await readSpeech();
    const url = endpointUrl("vad", "audio-classification");
    const labels = await client.audioClassification({
      endpointUrl: url,
      inputs: new Blob([speech], { type: "audio/wav" }),
    });
    expect(labels.map(({ label }) => label)).toEqual(["speech", "no speech"]);
    expect(labels[0]?.score).toBeGreaterThan(0.9);
    expect((labels[0]?.score ?? 0) + (labels[1]?.score ?? 0)).toBeCloseTo(1, 9);
    // As a file that is read comes: without a type.
    const untyped = { endpointUrl: url, data: speech.buffer };
    expect(await client.audioClassification(untyped)).toEqual(labels);
    const segments = await client.audioClassification({
      ...untyped,
      endpointUrl: endpointUrl("vad"),
    });
    expect(segments).toEqual(await predict(stack, "vad", speech, "audio/wav"));
  });

  it("classifies the rows of a table", async () => {
    const rows = [
      [5.1, 3.5, 1.4, 0.2],
      [6.3, 3.3, 6, 2.5],
    ];
    const { columns, labels } = await irisTask();
    const data = Object.fromEntries(
      columns.map((column, at) => [column, rows.map((row) => String(row[at]))]),
    );
    const classes = await client.tabularClassification({
      endpointUrl: endpointUrl("iris"),
      inputs: { data },
    });
    const ranked = await predicted<{ label: string }[][]>("iris", rows);
    expect(classes.map((number) => labels[number])).toEqual(ranked.map(([best]) => best?.label));
  });

  it("classifies a picture", async () => {
    const picture = await pictureOf("nsfw");
    const labels = await client.imageClassification({
      endpointUrl: endpointUrl("nsfw"),
      inputs: new Blob([picture.bytes], { type: picture.type }),
    });
    expect(labels.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1, 3);
    expect(labels).toEqual(await predict(stack, "nsfw", picture.bytes, picture.type));
    const untyped = { endpointUrl: endpointUrl("nsfw"), data: picture.bytes.buffer };
    expect(await client.imageClassification(untyped)).toEqual(labels);
  });

  it("reads a picture", async () => {
    const picture = await pictureOf("ocr");
    const inputs = new Blob([picture.bytes], { type: picture.type });
    const url = endpointUrl("ocr", "image-to-text");
    const read = await client.imageToText({ endpointUrl: url, inputs });
    expect(read.generated_text?.length).toBeGreaterThan(0);
    const untyped = { endpointUrl: url, data: picture.bytes.buffer };
    expect(await client.imageToText(untyped)).toEqual(read);
  });

  it.each<[string, string, unknown, number]>([
    ["a model that is not there", "nobody", "a", 404],
    ["what is no text", "minilm", 5, 422],
  ])("throws its own error for %s", async (_, model, inputs, status) => {
    const asking = client.featureExtraction({
      endpointUrl: endpointUrl(model),
      inputs: inputs as string,
    });
    const error: unknown = await asking.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InferenceClientProviderApiError);
    expect(error).toMatchObject({ httpResponse: { status } });
  });

  it("completes and chats by the routes of OpenAI", async () => {
    const asked = { endpointUrl: `${stack.edgeUrl}/v1`, model: "scribe" };
    const chat = await client.chatCompletion({
      ...asked,
      messages: [{ role: "user", content: "Returns a promise " }],
      max_tokens: 8,
    });
    expect(chat.choices[0]?.message.content?.length).toBeGreaterThan(0);
  });
});

describe("a client of the published V2 document", () => {
  let client: V2Client;
  beforeAll(() => {
    client = new V2Client(stack.edgeUrl);
  });
  const features = { name: "features", datatype: "FP32", shape: [2, 4] };
  const rows = [5.1, 3.5, 1.4, 0.2, 6.3, 3.3, 6, 2.5];

  it("finds the server and the model alive and ready", async () => {
    expect(await client.serverLive()).toEqual({ live: true });
    expect(await client.serverReady()).toEqual({ live: true });
    expect(await client.serverMetadata()).toMatchObject({ name: "nearside" });
    expect(await client.modelReady("iris")).toEqual({ name: "iris", ready: true });
    expect(await client.modelReady("iris", "1")).toEqual({ name: "iris", ready: true });
  });

  it("reads what a model takes and answers", async () => {
    expect(await client.modelMetadata("iris")).toMatchObject({
      name: "iris",
      versions: ["1"],
      inputs: [{ name: "features", datatype: "FP32", shape: [-1, 4] }],
    });
  });

  it("infers in JSON what /v1/predict says", async () => {
    const { labels } = await irisTask();
    const answer = await client.infer("iris", {
      id: "1",
      inputs: [{ ...features, data: rows }],
      outputs: [{ name: "label" }],
    });
    expect(answer).toMatchObject({ model_name: "iris", model_version: "1", id: "1" });
    expect(answer.outputs).toMatchObject([{ name: "label", datatype: "INT64", shape: [2] }]);
    const ranked = await predicted<{ label: string }[][]>("iris", [
      rows.slice(0, 4),
      rows.slice(4),
    ]);
    expect(answer.outputs[0]?.data?.map((number) => labels[Number(number)])).toEqual(
      ranked.map(([best]) => best?.label),
    );
  });

  it("infers the same in bytes, in and out", async () => {
    const [inJson] = (
      await client.infer("iris", {
        inputs: [{ ...features, data: rows }],
        outputs: [{ name: "probabilities" }],
      })
    ).outputs;
    const bytes = new Uint8Array(Float32Array.from(rows).buffer);
    const { outputs, bytes: answered } = await client.infer(
      "iris",
      {
        inputs: [features],
        outputs: [{ name: "probabilities", parameters: { binary_data: true } }],
      },
      { features: bytes },
    );
    const { shape } = inJson ?? {};
    expect(outputs).toEqual([
      {
        name: "probabilities",
        datatype: "FP32",
        shape,
        parameters: { binary_data_size: answered["probabilities"]?.length },
      },
    ]);
    expect([...new Float32Array(answered["probabilities"]?.buffer ?? new ArrayBuffer())]).toEqual(
      inJson?.data,
    );
  });

  it("embeds the authors' tokens in bytes", async () => {
    const { inputs } = fixtures.cases[0] ?? { inputs: undefined };
    if (inputs === undefined) throw new Error("There are no fixtures.");
    const int64 = ({ data }: { readonly data: readonly number[] }) =>
      new Uint8Array(BigInt64Array.from(data, BigInt).buffer);
    const { bytes } = await client.infer(
      "minilm",
      {
        parameters: { binary_data_output: true },
        inputs: Object.entries(inputs).map(([name, { datatype, shape }]) => ({
          name,
          datatype,
          shape,
        })),
      },
      {
        input_ids: int64(inputs.input_ids),
        attention_mask: int64(inputs.attention_mask),
      },
    );
    const data = new Float32Array(bytes["sentence_embedding"]?.buffer ?? new ArrayBuffer());
    const vectors = SENTENCES.map((_, row) => [
      ...data.subarray(row * DIMENSIONS, (row + 1) * DIMENSIONS),
    ]);
    expect(againstAuthors(vectors)).toEqual(CLOSE);
  });

  it.each<[string, string, object, number]>([
    ["a model that is not there", "nobody", { ...features, data: rows }, 404],
    ["an input that is not there", "iris", { ...features, name: "x", data: rows }, 400],
    ["too few elements", "iris", { ...features, data: [1, 2] }, 400],
  ])("gets the document's error for %s", async (_, model, input, status) => {
    const asking = client.infer(model, { inputs: [input as typeof features] });
    const error: unknown = await asking.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(V2Error);
    expect(error).toMatchObject({ status, message: expect.stringMatching(/\S/) });
  });
});

async function irisTask(): Promise<{ columns: string[]; labels: string[] }> {
  const source = await readFile(path.join(ROOT, "models/iris/model.json"), "utf8");
  return (JSON.parse(source) as { task: { columns: string[]; labels: string[] } }).task;
}

/** The picture of a model's example: as it is, or in base64. */
async function pictureOf(model: string) {
  const { body, contentType } = await readExample(path.join(ROOT, "models", model));
  if (contentType !== "application/json") return { bytes: new Uint8Array(body), type: contentType };
  const { inputs } = JSON.parse(new TextDecoder().decode(body)) as { inputs: string };
  const encoded = inputs.slice(inputs.indexOf(",") + 1);
  return { bytes: new Uint8Array(Buffer.from(encoded, "base64")), type: "image/jpeg" };
}
