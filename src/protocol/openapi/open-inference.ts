import { BINARY_MEDIA_TYPE, HEADER_LENGTH } from "../open-inference/binary.ts";
import { REFUSED, SHARED_MEMORY_STATUS } from "../open-inference/refused.ts";
import { OF_INFERENCE, type RequestHeader } from "./headers.ts";
import type { Operation, Operations } from "./operation.ts";
import { type Content, listOf, ref, type Schema } from "./schema.ts";

const TAG = "Open Inference Protocol";
const OPERATOR_TAG = "Model repository";
const NOT_OFFERED_TAG = "Not offered";

const BYTES: Schema = { type: "string", format: "binary" };

/** What inference takes, whatever the protocol. */
export const INFERENCE_REQUEST: readonly RequestHeader[] = [
  "nearside-user",
  "nearside-override",
  "nearside-placement",
  "nearside-timeout-ms",
  "idempotency-key",
  "accept-encoding",
  "content-encoding",
];

const json = (schema: Schema, examples?: object): Content => ({
  "application/json": { schema, ...(examples && { examples }) },
});

const says = (description: string, schema: string): Operation["answer"] => ({
  description,
  content: json(ref(schema)),
});

const read = (
  summary: string,
  answer: Operation["answer"],
  more: Partial<Operation> = {},
): Operation => ({
  tag: TAG,
  summary,
  who: "key",
  concerns: ["caller", "request", "model"],
  ...(answer && { answer }),
  ...more,
});

const EXAMPLES = {
  iris: {
    summary: "iris: one flower",
    value: {
      inputs: [{ name: "features", datatype: "FP32", shape: [1, 4], data: [5.1, 3.5, 1.4, 0.2] }],
    },
  },
};

/** The routes below /v2. */
export function openInferenceOperations(): Operations {
  const open = { who: "everybody", concerns: [] } as const;
  return {
    "GET /v2": read(
      "Says what this server is.",
      says("Its name and extensions.", "ServerMetadata"),
      open,
    ),
    "GET /v2/health/live": read(
      "Says whether this isolate answers.",
      says("It does.", "Live"),
      open,
    ),
    "GET /v2/health/ready": read(
      "Says whether models can be looked up.",
      says("They can.", "Live"),
      {
        who: "everybody",
        concerns: ["model"],
      },
    ),
    "GET /v2/models/:model": read(
      "Describes a model.",
      says("Its versions, inputs and outputs.", "ModelMetadata"),
    ),
    "GET /v2/models/:model/ready": read(
      "Says whether a model would answer.",
      says("It would, if need be after loading.", "ModelReady"),
    ),
    "GET /v2/models/:model/config": read(
      "Shows a model's configuration, in Triton's form.",
      says("Its configuration.", "ModelConfiguration"),
    ),
    "GET /v2/models/stats": statistics("Tells what all models have answered."),
    "GET /v2/models/:model/stats": statistics("Tells what a model has answered."),
    "POST /v2/models/:model/infer": {
      tag: TAG,
      summary: "Runs a model on tensors.",
      description: `Tensors are JSON, or bytes behind it (Triton's extension binary_tensor_data): then \`${HEADER_LENGTH}\` says where they begin.`,
      who: "key",
      concerns: ["caller", "request", "body", "tensors", "model", "run", "pay"],
      headers: [...INFERENCE_REQUEST, HEADER_LENGTH],
      body: {
        required: true,
        content: {
          ...json(ref("InferRequest"), EXAMPLES),
          [BINARY_MEDIA_TYPE]: { schema: BYTES },
        },
      },
      answer: {
        description: "The model's outputs.",
        content: { ...json(ref("InferResponse")), [BINARY_MEDIA_TYPE]: { schema: BYTES } },
        headers: [...OF_INFERENCE, HEADER_LENGTH, "content-encoding", "vary"],
      },
    },
    "POST /v2/repository/index": read(
      "Lists models and versions.",
      says("Each, and whether it would answer.", "RepositoryIndex"),
      {
        tag: OPERATOR_TAG,
        concerns: ["caller", "request", "body", "model"],
        body: { required: false, content: json(ref("RepositoryRequest")) },
      },
    ),
    "POST /v2/repository/models/:model/load": repository(
      "Loads a model into this isolate.",
      says("It is there.", "Loaded"),
    ),
    "POST /v2/repository/models/:model/unload": repository(
      "Drops a model from this isolate.",
      says("What was dropped.", "Unloaded"),
    ),
    ...Object.fromEntries(
      SHARED_MEMORY_STATUS.map((path) => [
        `GET ${path}`,
        {
          ...read("Lists regions of shared memory.", undefined, open),
          answer: { description: "There are none.", content: json({ ...listOf({}), maxItems: 0 }) },
        },
      ]),
    ),
    ...refusedOperations(),
  };
}

function statistics(summary: string): Operation {
  return read(summary, says("Counts and durations, of all isolates.", "ModelStatistics"), {
    concerns: ["caller", "request", "model", "statistics"],
  });
}

function repository(summary: string, answer: Operation["answer"]): Operation {
  return read(summary, answer, {
    tag: OPERATOR_TAG,
    who: "operator",
    concerns: ["operator", "request", "body", "model", "run"],
    body: { required: false, content: json(ref("RepositoryRequest")) },
  });
}

/** Extensions that an isolate has no use for: their paths say what to use instead. */
function refusedOperations(): Operations {
  const all = REFUSED.flatMap(({ methods, paths, because }) =>
    paths.flatMap((path) =>
      methods.map((method): [string, Operation] => [
        `${method} ${path.replace("/versions/:version", "")}`,
        { tag: NOT_OFFERED_TAG, summary: because, who: "everybody", concerns: ["extension"] },
      ]),
    ),
  );
  return Object.fromEntries(all);
}
