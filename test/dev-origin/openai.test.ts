import OpenAI, { type APIError, AuthenticationError, BadRequestError, NotFoundError } from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { build } from "../../models/scribe/build.ts";
import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import { minilmTokenizer, tokenizerAsset } from "../tasks/minilm-tokenizer.ts";
import { openOrigin, Shop } from "./support.ts";

/** Seconds of writing. */
const LONG = 1_000_000;

const shop = new Shop();
let origin: Awaited<ReturnType<typeof openOrigin>>;
let client: OpenAI;
beforeAll(async () => {
  await shop.publishAlphabet("alphabet", 2 * LONG);
  await shop.publishAlphabet("brief", 16);
  await shop.publishScale("double", 1, 2);
  await shop.publishOnnx((await build()).onnx, {
    name: "scribe",
    task: { type: "text-generation", contextCharacters: 4096 },
  });
  await publishCounter();
  origin = await openOrigin(shop);
  client = new OpenAI({ baseURL: `${origin.url}/v1`, apiKey: "none", maxRetries: 0 });
});
afterAll(() => origin.stop());

/** An embedding of two numbers: how many tokens there are, and their sum. */
async function publishCounter(): Promise<void> {
  const graph = new GraphBuilder("counter");
  const ids = graph.input("input_ids", "INT64", ["batch", "tokens"]);
  const mask = graph.input("attention_mask", "INT64", ["batch", "tokens"]);
  const axis = graph.int64s("axis", [1]);
  const count = graph.op("ReduceSum", [mask, axis], { keepdims: 1 });
  const sum = graph.op("ReduceSum", [graph.op("Mul", [ids, mask]), axis], { keepdims: 1 });
  const both = graph.op("Concat", [count, sum], { axis: 1 });
  graph.output(graph.op("Cast", [both], { to: 1 }, "sentence_embedding"), "FP32", ["batch", 2]);
  await shop.publishOnnx(graph.toBytes(), {
    name: "counter",
    task: { type: "embedding", maxTokens: 32, dimensions: 2, tokenizer: "tokenizer" },
    assets: { tokenizer: await shop.blob(tokenizerAsset(minilmTokenizer)) },
  });
}

async function all<T>(pieces: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const piece of pieces) collected.push(piece);
  return collected;
}

const user = (content: string) => ({ role: "user" as const, content });

describe("a chat completion", () => {
  it("goes on after the messages, with the usage", async () => {
    const answer = await client.chat.completions.create({
      model: "alphabet",
      messages: [user("c"), user("x")],
      temperature: 0,
      max_tokens: 5,
    });
    expect(answer).toMatchObject({
      object: "chat.completion",
      model: "alphabet",
      choices: [
        { index: 0, message: { role: "assistant", content: "abcab" }, finish_reason: "length" },
      ],
      usage: { prompt_tokens: 4, completion_tokens: 5, total_tokens: 9 },
    });
  });

  it("streams to the official client, piece by piece", async () => {
    const stream = await client.chat.completions.create({
      model: "alphabet",
      messages: [user("c")],
      temperature: 0,
      max_completion_tokens: 6,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = await all(stream);
    expect(chunks.map(({ choices: [choice] }) => choice?.delta.content ?? null)).toEqual([
      "",
      ..."abcabc",
      null,
      null,
    ]);
    expect(chunks[0]?.choices[0]?.delta.role).toBe("assistant");
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe("length");
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 2, completion_tokens: 6, total_tokens: 8 },
    });
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });

  it("shows its first piece before the rest is written, and stops when its caller leaves", async () => {
    const before = origin.metrics.get("cancelled_generations", "alphabet");
    const stream = await client.chat.completions.create({
      model: "alphabet",
      messages: [user("c")],
      max_tokens: LONG,
      stream: true,
    });
    for await (const { choices } of stream) {
      if (choices[0]?.delta.content) stream.controller.abort();
    }
    await expect
      .poll(() => origin.metrics.get("cancelled_generations", "alphabet"))
      .toBe(before + 1);
    const written = origin.metrics.get("generated_tokens", "alphabet");
    expect(written).toBeLessThan(LONG / 10);
    // A round trip through the model's own queue: what was under way has ended by then.
    await client.completions.create({ model: "alphabet", prompt: "z", temperature: 0 });
    expect(origin.metrics.get("generated_tokens", "alphabet")).toBe(written + 1);
  });

  it("stops when its caller leaves before there is an answer", async () => {
    const before = origin.metrics.get("cancelled_generations", "alphabet");
    const leaving = new AbortController();
    const asked = client.chat.completions.create(
      { model: "alphabet", messages: [user("c")], max_tokens: LONG },
      { signal: leaving.signal },
    );
    const begun = origin.metrics.get("generated_tokens", "alphabet");
    await expect
      .poll(() => origin.metrics.get("generated_tokens", "alphabet"))
      .toBeGreaterThan(begun);
    leaving.abort();
    await expect(asked).rejects.toThrow(OpenAI.APIUserAbortError);
    await expect
      .poll(() => origin.metrics.get("cancelled_generations", "alphabet"))
      .toBe(before + 1);
  });
});

describe("a text completion", () => {
  it("ends where the model ends, and before a stop string that spans pieces", async () => {
    const ended = await client.completions.create({
      model: "alphabet",
      prompt: "z",
      temperature: 0,
    });
    expect(ended.choices[0]).toMatchObject({ text: "", finish_reason: "stop" });
    const stream = await client.completions.create({
      model: "alphabet",
      prompt: "c",
      temperature: 0,
      stop: ["bca"],
      max_tokens: 20,
      stream: true,
    });
    const chunks = await all(stream);
    expect(chunks.map(({ choices: [choice] }) => choice?.text).join("")).toBe("a");
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe("stop");
  });

  it("ends where the model's context does", async () => {
    const { choices, usage } = await client.completions.create({
      model: "brief",
      prompt: "cccc",
      max_tokens: 100,
      temperature: 0,
    });
    expect([choices[0]?.text, usage?.total_tokens]).toEqual(["abcabcabcab", 16]);
    const asked = client.completions.create({ model: "brief", prompt: "c".repeat(16) });
    await expect(asked).rejects.toMatchObject({ status: 413, code: "input_too_long" });
  });

  it("writes the same for the same seed", async () => {
    const write = async (seed: number) => {
      const options = { model: "scribe", prompt: "This method ", max_tokens: 40, seed };
      return (await client.completions.create(options)).choices[0]?.text;
    };
    const once = await write(1);
    expect(once).toHaveLength(40);
    expect(await write(1)).toBe(once);
    expect(await write(2)).not.toBe(once);
  });

  it("is written beside others at the same time", async () => {
    const texts = await Promise.all(
      ["a", "b", "c"].map((prompt) =>
        client.completions.create({ model: "alphabet", prompt, temperature: 0, max_tokens: 3 }),
      ),
    );
    expect(texts.map(({ choices }) => choices[0]?.text)).toEqual(["bca", "cab", "abc"]);
  });
});

describe("embeddings", () => {
  it("come in the order of their texts, whatever the encoding", async () => {
    const input = ["a much longer text than the other one", "hi"];
    const { data, usage } = await client.embeddings.create({ model: "counter", input });
    const [long, short] = data.map(({ embedding }) => embedding);
    expect(data.map(({ index }) => index)).toEqual([0, 1]);
    expect(short).toEqual([3, 101 + 7632 + 102]);
    expect(long?.[0]).toBe(10);
    expect(usage).toEqual({ prompt_tokens: 13, total_tokens: 13 });
    const floats = await client.embeddings.create({
      model: "counter",
      input,
      encoding_format: "float",
    });
    expect(floats.data).toEqual(data);
  });
});

describe("the list of models", () => {
  it("has those that OpenAI's routes take", async () => {
    const models = await all(client.models.list());
    expect(models.map(({ id }) => id).toSorted()).toEqual([
      "alphabet",
      "brief",
      "counter",
      "scribe",
    ]);
  });
});

describe("refusals", () => {
  it.each([
    ["another model", { model: "none" }, NotFoundError, "model"],
    ["a model that writes nothing", { model: "double" }, BadRequestError, "model"],
    ["two answers", { n: 2 }, BadRequestError, "n"],
    ["wild temperatures", { temperature: 3 }, BadRequestError, "temperature"],
    ["no nucleus", { top_p: 0 }, BadRequestError, "top_p"],
    ["no messages", { messages: [] }, BadRequestError, "messages"],
    [
      "a picture",
      { messages: [{ role: "user", content: [{ type: "image_url" }] }] },
      BadRequestError,
      "messages.0.content.0.type",
    ],
    ["tools", { tools: [{}] }, BadRequestError, "tools"],
    ["a choice of tools", { tool_choice: "required" }, BadRequestError, "tool_choice"],
    ["functions", { functions: [{ name: "f" }] }, BadRequestError, "functions"],
    ["probabilities", { logprobs: true }, BadRequestError, "logprobs"],
    ["their number", { top_logprobs: 2 }, BadRequestError, "top_logprobs"],
    [
      "another form",
      { response_format: { type: "json_object" } },
      BadRequestError,
      "response_format.type",
    ],
    ["penalties", { presence_penalty: 1 }, BadRequestError, "presence_penalty"],
    ["other penalties", { frequency_penalty: -1 }, BadRequestError, "frequency_penalty"],
    ["a bias", { logit_bias: { "50256": -100 } }, BadRequestError, "logit_bias"],
    ["sound", { modalities: ["text", "audio"] }, BadRequestError, "modalities.1"],
  ])("of %s name the parameter", async (_, change, kind, param) => {
    const body = { model: "alphabet", messages: [user("c")], ...change };
    const error = await client.chat.completions.create(body as never).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(kind);
    expect(error).not.toBeInstanceOf(AuthenticationError);
    const { type, param: named } = error as APIError;
    expect([type, named]).toEqual(["invalid_request_error", param]);
  });

  it.each([
    ["two prompts", { prompt: ["a", "b"] }, "prompt.1"],
    ["no prompt", { prompt: [] }, "prompt.0"],
    ["tokens", { prompt: [1, 2] }, "prompt.0"],
    ["lists of tokens", { prompt: [[1], [2]] }, "prompt.0"],
    ["an echo", { echo: true }, "echo"],
    ["probabilities", { logprobs: 0 }, "logprobs"],
    ["two answers", { n: 2 }, "n"],
    ["the best of two", { best_of: 2 }, "best_of"],
    ["a text to end in", { suffix: "." }, "suffix"],
    ["another form", { response_format: { type: "json_object" } }, "response_format.type"],
  ])("of %s name the parameter of a text completion", async (_, change, param) => {
    const body = { model: "alphabet", prompt: "c", ...change };
    const error = await client.completions.create(body as never).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(BadRequestError);
    expect((error as APIError).param).toBe(param);
  });

  it("are none of what only says what is so anyway", async () => {
    const { choices } = await client.completions.create({
      model: "alphabet",
      prompt: ["c"],
      max_tokens: 3,
      temperature: 0,
      n: 1,
      best_of: 1,
      echo: false,
      logprobs: null,
      suffix: null,
      presence_penalty: 0,
      frequency_penalty: 0,
      logit_bias: {},
      user: "me",
    });
    expect(choices[0]?.text).toBe("abc");
    const chat = await client.chat.completions.create({
      model: "alphabet",
      messages: [user("c")],
      max_tokens: 1,
      temperature: 0,
      tools: [],
      tool_choice: "none",
      logprobs: false,
      response_format: { type: "text" },
      modalities: ["text"],
    });
    expect(chat.choices[0]?.message.content).toBe("a");
  });

  it("come at once when too much is under way", async () => {
    const leaving = new AbortController();
    const ask = (maxTokens: number, signal?: AbortSignal) =>
      client.completions.create(
        { model: "alphabet", prompt: "c", temperature: 0, max_tokens: maxTokens },
        { signal },
      );
    const before = origin.metrics.get("generations", "alphabet");
    const busy = Array.from({ length: 32 }, () => ask(LONG, leaving.signal).catch(() => {}));
    await expect
      .poll(() => origin.metrics.get("generations", "alphabet"), { interval: 5 })
      .toBe(before + 32);
    const refusal = (await ask(1).catch((thrown) => thrown)) as APIError;
    expect([refusal.status, refusal.code]).toEqual([503, "origin_overloaded"]);
    expect(refusal.headers?.get("retry-after")).toBe("1");
    leaving.abort();
    await Promise.all(busy);
    await expect.poll(async () => (await ask(1).catch(() => {}))?.choices[0]?.text).toBe("a");
  });

  it("come within a stream that has begun", async () => {
    await shop.publishAlphabet("fragile", LONG);
    const stream = await client.chat.completions.create({
      model: "fragile",
      messages: [user("c")],
      max_tokens: LONG,
      stream: true,
    });
    const read = async () => {
      for await (const { choices } of stream) {
        if (choices[0]?.delta.content) await origin.ask("/v2/repository/models/fragile/unload", {});
      }
    };
    await expect(read()).rejects.toThrow("unloaded");
  });
});
