import { randomInt, randomUUID } from "node:crypto";

import * as v from "valibot";

import { check } from "../control/input.ts";
import { decodeJson, parseJson } from "../protocol/body.ts";
import type { Piece, SamplingOptions } from "../../models/scribe/sample.ts";
import { type Call, type Origin, type Reply, json } from "./call.ts";
import { beginGeneration, type Generation } from "./generate.ts";
import { openAiFailure } from "./openai-error.ts";

/** https://platform.openai.com/docs/api-reference: what is left out there has these values. */
const DEFAULT_CHAT_TOKENS = 256;
const DEFAULT_COMPLETION_TOKENS = 16;
const MAX_STOPS = 4;
const MAX_SEED = 0xffff_ffff;

const Count = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
/** What is not offered here, and would silently be missing from the answer: only as good as not said. */
const nothing = (...same: readonly unknown[]) =>
  v.optional(v.custom((value) => value === null || same.includes(value), "is not offered here"));
const empty = v.optional(
  v.custom(
    (value) =>
      value === null || (typeof value === "object" && Object.keys(value ?? {}).length === 0),
    "is not offered here",
  ),
);
const plainText = v.nullish(
  v.looseObject({ type: v.literal("text", "there is nothing but plain text") }),
);

/** What both routes take. What would change the answer's form or content, and is not offered, is refused. */
const Common = {
  model: v.string(),
  stream: v.nullish(v.boolean(), false),
  stream_options: v.nullish(v.looseObject({ include_usage: v.nullish(v.boolean(), false) })),
  temperature: v.nullish(v.pipe(v.number(), v.minValue(0), v.maxValue(2)), 1),
  top_p: v.nullish(v.pipe(v.number(), v.gtValue(0), v.maxValue(1)), 1),
  seed: v.nullish(v.pipe(v.number(), v.safeInteger())),
  stop: v.nullish(v.union([v.string(), v.pipe(v.array(v.string()), v.maxLength(MAX_STOPS))]), []),
  n: v.nullish(v.literal(1, "one answer a request is what there is"), 1),
  presence_penalty: nothing(0),
  frequency_penalty: nothing(0),
  logit_bias: empty,
  response_format: plainText,
};

const ChatRequest = v.looseObject({
  ...Common,
  messages: v.pipe(
    v.array(
      v.looseObject({
        role: v.string(),
        content: v.union([
          v.string(),
          v.array(v.looseObject({ type: v.literal("text"), text: v.string() })),
        ]),
      }),
    ),
    v.minLength(1),
  ),
  max_tokens: v.nullish(Count),
  max_completion_tokens: v.nullish(Count),
  logprobs: nothing(false),
  top_logprobs: nothing(0),
  tools: empty,
  tool_choice: nothing("none", "auto"),
  functions: empty,
  function_call: nothing("none", "auto"),
  modalities: v.nullish(v.array(v.literal("text", "there is nothing but text"))),
  audio: nothing(),
  prediction: nothing(),
  web_search_options: nothing(),
});

const CompletionRequest = v.looseObject({
  ...Common,
  prompt: v.union(
    [v.string(), v.strictTuple([v.string()], "must be one text")],
    "must be one text",
  ),
  max_tokens: v.nullish(Count, DEFAULT_COMPLETION_TOKENS),
  best_of: v.nullish(v.literal(1, "one answer a request is what there is"), 1),
  echo: nothing(false),
  logprobs: nothing(),
  suffix: nothing(""),
});

type Asked = Pick<
  v.InferOutput<typeof ChatRequest>,
  "model" | "stream" | "stream_options" | "temperature" | "top_p" | "seed" | "stop"
>;

/** `GET /v1/models` */
export async function getModels({ models }: Origin): Promise<Reply> {
  const catalog = await models.catalog();
  const names = Object.entries(catalog.models).flatMap(([name, { versions }]) => {
    const types = Object.values(versions).map(({ task }) => task.type);
    return types.some((type) => type === "text-generation" || type === "embedding") ? [name] : [];
  });
  const data = names.map((id) => ({ id, object: "model", created: 0, owned_by: "nearside" }));
  return json({ object: "list", data });
}

/** `POST /v1/chat/completions`: the model goes on after the messages, which it reads as one text. */
export async function postChatCompletions(origin: Origin, call: Call): Promise<Reply> {
  const asked = check(ChatRequest, parseJson(decodeJson(await call.body())), "body");
  const texts = asked.messages.map(({ content }) =>
    typeof content === "string" ? content : content.map(({ text }) => text).join(""),
  );
  const most = asked.max_completion_tokens ?? asked.max_tokens ?? DEFAULT_CHAT_TOKENS;
  return complete(origin, call, asked, texts.join("\n"), most, CHAT);
}

/** `POST /v1/completions` */
export async function postCompletions(origin: Origin, call: Call): Promise<Reply> {
  const asked = check(CompletionRequest, parseJson(decodeJson(await call.body())), "body");
  const [prompt = ""] = [asked.prompt].flat();
  return complete(origin, call, asked, prompt, asked.max_tokens, TEXT);
}

/** How one of the two routes words its answers. */
interface Form {
  readonly prefix: string;
  readonly object: string;
  readonly chunk: string;
  whole(text: string): object;
  /** Chunks before the first text. */
  readonly opening: readonly object[];
  part(text: string): object;
  /** The part of a chunk that only says why the text has ended. */
  readonly closing: object;
}

const CHAT: Form = {
  prefix: "chatcmpl",
  object: "chat.completion",
  chunk: "chat.completion.chunk",
  whole: (content) => ({ message: { role: "assistant", content, refusal: null } }),
  opening: [{ delta: { role: "assistant", content: "" } }],
  part: (content) => ({ delta: { content } }),
  closing: { delta: {} },
};

const TEXT: Form = {
  prefix: "cmpl",
  object: "text_completion",
  chunk: "text_completion",
  whole: (text) => ({ text }),
  opening: [],
  part: (text) => ({ text }),
  closing: { text: "" },
};

async function complete(
  origin: Origin,
  call: Call,
  asked: Asked,
  prompt: string,
  maxTokens: number,
  form: Form,
): Promise<Reply> {
  const manifest = await origin.models.manifest(asked.model);
  const generation = await beginGeneration(
    origin,
    manifest,
    prompt,
    optionsOf(asked, maxTokens),
    call,
  );
  const about = {
    id: `${form.prefix}-${randomUUID()}`,
    created: Math.floor(Date.now() / 1000),
    model: manifest.name,
  };
  if (asked.stream) {
    const withUsage = asked.stream_options?.include_usage === true;
    return {
      headers: { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" },
      body: events(generation, { ...about, object: form.chunk }, form, withUsage),
    };
  }
  let text = "";
  let last: Piece | undefined;
  for await (const piece of generation.pieces) {
    text += piece.text;
    last = piece;
  }
  const choices = [choice(form.whole(text), last?.finish)];
  return json({ ...about, object: form.object, choices, usage: usageOf(generation, last) });
}

function optionsOf(asked: Asked, maxTokens: number): SamplingOptions {
  return {
    temperature: asked.temperature,
    topP: asked.top_p,
    seed: asked.seed ?? randomInt(MAX_SEED),
    stop: [asked.stop].flat(),
    maxTokens,
  };
}

/** Server-sent events, as OpenAI has them. */
async function* events(
  generation: Generation,
  about: object,
  { opening, part, closing }: Form,
  withUsage: boolean,
): AsyncGenerator<string, void> {
  const event = (choices: readonly object[], usage: object | null = null): string =>
    `data: ${JSON.stringify({ ...about, choices, ...(withUsage && { usage }) })}\n\n`;
  let last: Piece | undefined;
  try {
    for (const what of opening) yield event([choice(what)]);
    for await (const piece of generation.pieces) {
      if (piece.text !== "") yield event([choice(part(piece.text))]);
      last = piece;
    }
  } catch (error) {
    // The status is sent already.
    yield `data: ${JSON.stringify(openAiFailure(error).body)}\n\n`;
    return;
  }
  yield event([choice(closing, last?.finish)]);
  if (withUsage) yield event([], usageOf(generation, last));
  yield "data: [DONE]\n\n";
}

function choice(what: object, finish: Piece["finish"] | null = null): object {
  return { index: 0, ...what, logprobs: null, finish_reason: finish };
}

function usageOf({ promptTokens }: Generation, last: Piece | undefined): object {
  const tokens = last?.tokens ?? 0;
  return {
    prompt_tokens: promptTokens,
    completion_tokens: tokens,
    total_tokens: promptTokens + tokens,
  };
}
