import { type Catalog, STABLE } from "../../catalog/catalog.ts";
import type { Manifest } from "../../catalog/manifest.ts";
import { NearsideError } from "../../errors.ts";
import { RemoteSession } from "../../origin/remote-session.ts";
import { runHere, runThere } from "../../tasks/drive.ts";
import {
  checkedItems,
  type EmbeddingInput,
  type EmbeddingItems,
} from "../../tasks/embedding-input.ts";
import { embed, type Embedded, embedding } from "../../tasks/embedding.ts";
import { checkBatch } from "../../tasks/inputs.ts";
import { edgeLimits, type TaskLimits } from "../../tasks/limits.ts";
import type { ManifestOf } from "../../tasks/task.ts";
import type { TextTokenizer } from "../../tasks/tokenizer.ts";
import { routeOf } from "../decide.ts";
import type { Exchange } from "../pipeline.ts";
import { checkEmbedding } from "./parameters.ts";
import type { OpenAiRequest } from "./request.ts";

/** Whether a model answers `/v1/embeddings` as it answers everything else, without a pool that speaks OpenAI's API. */
export function embedsItself(catalog: Catalog, name: string): boolean {
  const model = Object.hasOwn(catalog.models, name) ? catalog.models[name] : undefined;
  if (model === undefined) return false;
  const manifest = model.versions[String(model.labels[STABLE])] ?? Object.values(model.versions)[0];
  return (
    manifest !== undefined &&
    isEmbedding(manifest) &&
    routeOf(catalog, manifest, "openai") === undefined
  );
}

interface Asked {
  readonly manifest: ManifestOf<"embedding">;
  readonly input: EmbeddingInput;
  readonly limits: TaskLimits;
}

/**
 * `POST /v1/embeddings` by a model of embeddings. Texts that are too long are cut, as on `/v1/predict`, unless
 * `"truncate": false` is said; OpenAI refuses them. Tokens are those of the model's own tokenizer.
 *
 * @param asked a request whose body is here already
 */
export function embeddings(asked: OpenAiRequest): Exchange<Asked, Embedded> {
  return {
    maxBodyBytes: ({ limits }) => limits.maxBodyBytes,
    async read(manifest, maxBytes) {
      if (!isEmbedding(manifest)) throw noEmbeddings(manifest);
      if (asked.bytes.length <= maxBytes) return asked.bytes;
      throw new NearsideError("body_too_large", `The body may have ${maxBytes} bytes at most.`);
    },
    decode(_body, manifest, limits = edgeLimits(manifest)) {
      if (!isEmbedding(manifest)) throw noEmbeddings(manifest);
      return { manifest, limits, input: inputOf(asked, manifest, limits) };
    },
    estimate: ({ input, manifest }) => embedding.estimate(input, manifest),
    run: (model, { input, manifest, limits }) =>
      runHere(embed(model.resources as TextTokenizer, input, manifest, limits), model),
    encode: (embedded, { manifest }) => encode(asked, embedded, manifest),
    async forward(origin, { input, manifest }) {
      const session = new RemoteSession(origin.caller, manifest, origin.onAnswer);
      const tokenizer = (await origin.resources()) as TextTokenizer;
      const embedded = await runThere(embed(tokenizer, input, manifest, origin.limits), session);
      return { response: encode(asked, embedded, manifest), units: embedded.units };
    },
    answerOf: ({ vectors }) => ({
      form: "task",
      output: vectors.map((vector) => Array.from(vector)),
    }),
    units: ({ units }) => units,
  };
}

function isEmbedding(manifest: Manifest): manifest is ManifestOf<"embedding"> {
  return manifest.task.type === "embedding";
}

function noEmbeddings({ name, version }: Manifest): NearsideError {
  return new NearsideError(
    "invalid_request",
    `Version ${version} of "${name}" makes no embeddings.`,
    { field: "model" },
  );
}

function inputOf(
  { body }: OpenAiRequest,
  { task }: ManifestOf<"embedding">,
  { maxBatch }: TaskLimits,
): EmbeddingInput {
  checkEmbedding(body, task.dimensions);
  const items = checkedItems(itemsOf(body["input"] as Input));
  checkBatch(items.items.length, maxBatch, items.field);
  return {
    ...items,
    truncate: body["truncate"] !== false,
    dimensions: (body["dimensions"] as number | null | undefined) ?? task.dimensions,
  };
}

/** As `checkEmbedding` has it. */
type Input = string | readonly string[] | readonly number[] | readonly (readonly number[])[];

function itemsOf(input: Input): EmbeddingItems {
  const field = "input";
  if (typeof input === "string" || typeof input[0] === "number") {
    return { items: [input as string | readonly number[]], form: "one", field };
  }
  return {
    items: input as readonly string[] | readonly (readonly number[])[],
    form: "several",
    field,
  };
}

function encode(
  { body }: OpenAiRequest,
  { vectors, units: { tokens } }: Embedded,
  { name }: Manifest,
): Response {
  const write = body["encoding_format"] === "base64" ? base64 : numbers;
  return Response.json({
    object: "list",
    data: vectors.map((vector, index) => ({
      object: "embedding",
      index,
      embedding: write(vector),
    })),
    model: name,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  });
}

const numbers = (vector: Float32Array): number[] => Array.from(vector);

/** Of the bytes as they are: each number's least significant first, wherever WebAssembly runs. */
const base64 = ({ buffer, byteOffset, byteLength }: Float32Array): string =>
  new Uint8Array(buffer, byteOffset, byteLength).toBase64();
