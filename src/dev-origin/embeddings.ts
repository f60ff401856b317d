import * as v from "valibot";

import type { Manifest } from "../catalog/manifest.ts";
import { check } from "../control/input.ts";
import { NearsideError } from "../errors.ts";
import { decodeJson, parseJson } from "../protocol/body.ts";
import type { Tensor } from "../runtime/tensor.ts";
import { feedsOf, microBatches } from "../tasks/embedding.ts";
import { type Call, type Origin, type Reply, json } from "./call.ts";

/** As many texts as OpenAI takes, and as many tokens as the edge sends to an origin. */
const MAX_TEXTS = 2048;
const MAX_REQUEST_TOKENS = 262_144;
/** Padding included: activations grow with it, and a machine with two cores takes a second or two. */
const MAX_RUN_TOKENS = 16_384;

const EmbeddingRequest = v.looseObject({
  model: v.string(),
  input: v.union([v.string(), v.pipe(v.array(v.string()), v.minLength(1), v.maxLength(MAX_TEXTS))]),
  encoding_format: v.nullish(v.picklist(["float", "base64"]), "float"),
  dimensions: v.nullish(v.number()),
});

/** `POST /v1/embeddings` */
export async function postEmbeddings(origin: Origin, call: Call): Promise<Reply> {
  const asked = check(EmbeddingRequest, parseJson(decodeJson(await call.body())), "body");
  const manifest = await origin.models.manifest(asked.model);
  const task = taskOf(manifest, asked.dimensions);
  const tokenizer = await origin.models.tokenizer(manifest, task.tokenizer);
  const rows = [asked.input]
    .flat()
    .map((text, index) => ({ index, ids: tokenizer.encode(text, task.maxTokens).ids }));
  const tokens = rows.reduce((sum, { ids }) => sum + ids.length, 0);
  if (tokens > MAX_REQUEST_TOKENS) {
    throw new NearsideError(
      "batch_too_large",
      `The texts have ${tokens} tokens together; one request may have ${MAX_REQUEST_TOKENS}.`,
      { field: "input" },
    );
  }
  const session = await origin.models.session(manifest);
  origin.metrics.count("inferences", manifest.name);
  const vectors = Array.from<Float32Array>({ length: rows.length });
  for (const batch of microBatches(rows, MAX_RUN_TOKENS)) {
    const outputs = await session.run(feedsOf(batch, tokenizer.padId), call);
    const { data } = vectorsOf(outputs, task.dimensions * batch.length);
    for (const [row, { index }] of batch.entries()) {
      vectors[index] = data.slice(row * task.dimensions, (row + 1) * task.dimensions);
    }
  }
  return json({
    object: "list",
    model: manifest.name,
    data: vectors.map((vector, index) => ({
      object: "embedding",
      index,
      embedding: asked.encoding_format === "base64" ? base64(vector) : Array.from(vector),
    })),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  });
}

function taskOf({ name, task }: Manifest, dimensions: number | null | undefined) {
  if (task.type !== "embedding") {
    throw new NearsideError("invalid_request", `"${name}" makes no embeddings.`, {
      field: "model",
    });
  }
  if (dimensions !== null && dimensions !== undefined && dimensions !== task.dimensions) {
    throw new NearsideError("invalid_request", `"${name}" has ${task.dimensions} dimensions.`, {
      field: "dimensions",
    });
  }
  return task;
}

function vectorsOf(outputs: Readonly<Record<string, Tensor>>, length: number) {
  const tensor = outputs["sentence_embedding"];
  if (tensor?.datatype === "FP32" && tensor.data.length === length) return tensor;
  throw new NearsideError("inference_failed", "The model's output is no embedding.");
}

/** The official client asks for this, and decodes it. */
function base64({ buffer, byteOffset, byteLength }: Float32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("base64");
}
