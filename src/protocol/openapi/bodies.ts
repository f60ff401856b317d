import { DATATYPES } from "../../runtime/tensor.ts";
import { anyOf, COUNT, FLAG, listOf, object, PROBLEM, ref, type Schema, TEXT } from "./schema.ts";
import { TASK, taskDocs } from "./tasks.ts";

const NUMBER: Schema = { type: "number" };
/** More may stand there: it is passed on, or ignored. */
const PARAMETERS: Schema = { type: "object", additionalProperties: true };
const SHAPE = listOf(COUNT);

/** Everything that operations refer to by name. */
export function schemas(): Readonly<Record<string, Schema>> {
  return {
    Problem: PROBLEM,
    ...predictSchemas(),
    ...openInferenceSchemas(),
    ...openAiSchemas(),
    Usage: object({
      from: TEXT,
      to: TEXT,
      by: listOf(TEXT),
      rows: listOf(
        object({
          "day?": TEXT,
          "model?": TEXT,
          "version?": COUNT,
          "key?": TEXT,
          requests: COUNT,
          units: { type: "object", additionalProperties: COUNT },
          amount: { ...COUNT, description: "The list price, in nano-dollars." },
          allowance: COUNT,
          volume: COUNT,
          repeated: COUNT,
        }),
      ),
    }),
    KeySet: object(
      { keys: listOf(object({ kty: TEXT, kid: TEXT, "crv?": TEXT, "x?": TEXT })) },
      "RFC 7517.",
    ),
  };
}

/** `PredictRequest` and `PredictAnswer` are any of their tasks'. */
function predictSchemas(): Record<string, Schema> {
  const all = Object.entries(taskDocs()).flatMap(([type, doc]) => (doc ? [{ type, doc }] : []));
  const named = all.flatMap(({ type, doc }) => [
    [
      `predict.${type}`,
      object(
        {
          inputs: doc.inputs,
          "parameters?": { ...PARAMETERS, properties: { ...doc.parameters, task: TASK } },
        },
        doc.summary,
      ),
    ],
    [`answer.${type}`, doc.output],
  ]);
  return {
    ...(Object.fromEntries(named) as Record<string, Schema>),
    PredictRequest: anyOf(...all.map(({ type }) => ref(`predict.${type}`))),
    PredictAnswer: anyOf(...all.map(({ type }) => ref(`answer.${type}`))),
  };
}

function openInferenceSchemas(): Record<string, Schema> {
  const datatype: Schema = { enum: Object.keys(DATATYPES) };
  const durationSum = object({ count: COUNT, ns: { type: "number", minimum: 0 } });
  const specs = listOf(
    object({ name: TEXT, datatype, shape: listOf({ type: "integer", minimum: -1 }) }),
  );
  const tensor = object(
    {
      name: TEXT,
      datatype,
      shape: SHAPE,
      "parameters?": {
        ...PARAMETERS,
        properties: {
          binary_data_size: { ...COUNT, description: "The tensor's bytes stand behind the JSON." },
        },
      },
      "data?": {
        type: "array",
        description: "Row-major, flat or nested; absent where bytes follow.",
      },
    },
    "A tensor, its elements as JSON or as bytes behind it.",
  );
  return {
    InferenceError: {
      allOf: [ref("Problem")],
      ...object({ error: TEXT }, "The problem's sentence stands under `error`, too."),
    },
    Tensor: tensor,
    InferRequest: object({
      "id?": TEXT,
      "parameters?": { ...PARAMETERS, properties: { binary_data_output: FLAG } },
      inputs: { ...listOf(ref("Tensor")), minItems: 1 },
      "outputs?": listOf(
        object({
          name: TEXT,
          "parameters?": {
            ...PARAMETERS,
            properties: { binary_data: FLAG, classification: COUNT },
          },
        }),
      ),
    }),
    InferResponse: object({
      model_name: TEXT,
      "model_version?": TEXT,
      "id?": TEXT,
      "parameters?": PARAMETERS,
      outputs: listOf(ref("Tensor")),
    }),
    ServerMetadata: object({ name: TEXT, version: TEXT, extensions: listOf(TEXT) }),
    Live: object({ live: FLAG, "ready?": FLAG }),
    ModelMetadata: object({
      name: TEXT,
      versions: listOf(TEXT),
      platform: TEXT,
      inputs: specs,
      outputs: specs,
    }),
    ModelReady: object({ name: TEXT, ready: FLAG }),
    ModelConfiguration: object(
      {
        name: TEXT,
        platform: TEXT,
        "backend?": TEXT,
        max_batch_size: COUNT,
        input: listOf(
          object({ name: TEXT, data_type: TEXT, dims: listOf({ type: "integer", minimum: -1 }) }),
        ),
        output: listOf(
          object({ name: TEXT, data_type: TEXT, dims: listOf({ type: "integer", minimum: -1 }) }),
        ),
      },
      "The part of Triton's ModelConfig that is true of a model here.",
    ),
    ModelStatistics: object({
      model_stats: listOf(
        object({
          name: TEXT,
          version: TEXT,
          last_inference: NUMBER,
          inference_count: COUNT,
          execution_count: COUNT,
          inference_stats: { type: "object", additionalProperties: durationSum },
          batch_stats: { type: "array" },
        }),
      ),
      "nearside?": PARAMETERS,
    }),
    RepositoryIndex: listOf(
      object({
        name: TEXT,
        version: TEXT,
        state: { enum: ["READY", "UNAVAILABLE"] },
        reason: TEXT,
        "nearside?": PARAMETERS,
      }),
    ),
    RepositoryRequest: object({ "parameters?": PARAMETERS, "ready?": FLAG }),
    Loaded: object({
      scope: TEXT,
      name: TEXT,
      version: TEXT,
      start: TEXT,
      bytes: COUNT,
      held_bytes: COUNT,
      budget_bytes: COUNT,
    }),
    Unloaded: object({
      scope: TEXT,
      name: TEXT,
      unloaded: listOf(object({ version: TEXT, bytes: COUNT })),
      held_bytes: COUNT,
      budget_bytes: COUNT,
    }),
  };
}

const choices = (what: string): Schema =>
  listOf(object({ index: COUNT, [what]: {}, "finish_reason?": {} }));

function openAiSchemas(): Record<string, Schema> {
  const usage = object({ prompt_tokens: COUNT, "completion_tokens?": COUNT, total_tokens: COUNT });
  const sampling = {
    "stream?": FLAG,
    "max_tokens?": { type: "integer", minimum: 1 },
    "temperature?": { type: "number", minimum: 0, maximum: 2 },
    "top_p?": { type: "number", minimum: 0, maximum: 1 },
    "n?": { type: "integer", minimum: 1, maximum: 128 },
    "seed?": { type: "integer" },
    "stop?": anyOf(TEXT, { ...listOf(TEXT), maxItems: 4 }),
  };
  const input = anyOf(TEXT, listOf(TEXT), listOf(COUNT), listOf(listOf(COUNT)));
  const model = object({ id: TEXT, object: { const: "model" }, created: COUNT, owned_by: TEXT });
  return {
    OpenAiError: object({
      error: object({ message: TEXT, type: TEXT, param: { type: ["string", "null"] }, code: TEXT }),
    }),
    ChatRequest: object({
      model: TEXT,
      messages: { ...listOf(object({ role: TEXT, "content?": {} })), minItems: 1 },
      ...sampling,
    }),
    ChatCompletion: object({
      "id?": TEXT,
      object: TEXT,
      model: TEXT,
      choices: choices("message"),
      "usage?": usage,
    }),
    CompletionRequest: object({ model: TEXT, prompt: input, ...sampling }),
    Completion: object({
      "id?": TEXT,
      object: TEXT,
      model: TEXT,
      choices: choices("text"),
      "usage?": usage,
    }),
    EmbeddingsRequest: object({
      model: TEXT,
      input,
      "encoding_format?": { enum: ["float", "base64"], default: "float" },
      "dimensions?": { type: "integer", minimum: 1 },
      "user?": TEXT,
    }),
    Embeddings: object({
      object: { const: "list" },
      data: listOf(
        object({
          object: { const: "embedding" },
          index: COUNT,
          embedding: anyOf(listOf(NUMBER), TEXT),
        }),
      ),
      model: TEXT,
      usage,
    }),
    Model: model,
    ModelList: object({ object: { const: "list" }, data: listOf(ref("Model")) }),
  };
}
