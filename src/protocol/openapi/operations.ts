import { USAGE_DIMENSIONS } from "../../billing/ledger-service.ts";
import type { OpenAiPath } from "../openai/routes.ts";
import { OF_INFERENCE } from "./headers.ts";
import { INFERENCE_REQUEST, openInferenceOperations } from "./open-inference.ts";
import type { Operation, Operations } from "./operation.ts";
import { type Content, object, ref, type Schema, TEXT } from "./schema.ts";
import { TASK, taskDocs } from "./tasks.ts";

const BYTES: Schema = { type: "string", format: "binary" };

/** What the document says of every route, but that each of `/versions/:version` is the same for one version. */
export function operations(): Operations {
  return {
    "POST /v1/predict/:model": predict(),
    ...openAiOperations(),
    ...openInferenceOperations(),
    ...aboutOperations(),
  };
}

function predict(): Operation {
  const docs = Object.entries(taskDocs()).flatMap(([type, doc]) => (doc ? [{ type, doc }] : []));
  const examples = docs.flatMap(({ doc: { example } }) =>
    example ? [[example.model, { summary: example.model, value: example.value }]] : [],
  );
  const raw = new Set(docs.flatMap(({ doc }) => doc.mediaTypes));
  const said = docs.map(
    ({ type, doc }) =>
      `- \`${type}\`: ${doc.summary} Raw: ${doc.mediaTypes.map((one) => `\`${one}\``).join(", ")}.`,
  );
  const parameters = docs.flatMap(({ doc }) => Object.entries(doc.parameters));
  return {
    tag: "Predict",
    summary: "Asks a model, in the words of its task.",
    description:
      "A JSON body has `inputs` and, perhaps, `parameters`; a raw body of another media type has its parameters in the query, where those of a JSON body may stand, too. By task:\n\n" +
      said.join("\n"),
    who: "key",
    concerns: ["caller", "request", "body", "input", "model", "run", "pay"],
    query: Object.entries({ ...Object.fromEntries(parameters), task: TASK }).map(
      ([name, schema]) => ({
        name,
        in: "query",
        description: "For a raw body, or beside a JSON body, whose own parameters count.",
        // Each task has a default of its own.
        schema: Object.fromEntries(Object.entries(schema).filter(([word]) => word !== "default")),
      }),
    ),
    headers: INFERENCE_REQUEST,
    body: {
      required: true,
      content: {
        "application/json": {
          schema: ref("PredictRequest"),
          examples: Object.fromEntries(examples),
        },
        ...Object.fromEntries(
          [...raw].map((type) => [type, { schema: type.startsWith("text/") ? TEXT : BYTES }]),
        ),
      },
    },
    answer: {
      description: "What the task answers: for an array of inputs an array, in their order.",
      content: { "application/json": { schema: ref("PredictAnswer") } },
      headers: [...OF_INFERENCE, "content-encoding", "vary"],
    },
  };
}

const STREAM: Content = { "text/event-stream": { schema: TEXT } };

const openAiPost = (
  summary: string,
  [request, answer]: readonly [string, string],
  { example, stream }: { readonly example: object; readonly stream: boolean },
): Operation => ({
  tag: "OpenAI",
  summary,
  who: "key",
  concerns: ["caller", "request", "body", "input", "model", "run", "pay"],
  headers: INFERENCE_REQUEST,
  body: {
    required: true,
    content: {
      "application/json": { schema: ref(request), examples: { example: { value: example } } },
    },
  },
  answer: {
    description: stream
      ? "The answer; with `stream` its pieces, as server-sent events."
      : "The answer.",
    content: { "application/json": { schema: ref(answer) }, ...(stream && STREAM) },
    headers: [...OF_INFERENCE, "cache-control", "content-encoding", "vary"],
  },
});
const openAiList = (summary: string, description: string, schema: string): Operation => ({
  tag: "OpenAI",
  summary,
  who: "key",
  concerns: ["caller", "request", "model"],
  answer: { description, content: { "application/json": { schema: ref(schema) } } },
});
function openAiOperations(): Operations {
  const posts: { readonly [P in OpenAiPath as `POST /${P}`]: Operation } = {
    "POST /v1/chat/completions": openAiPost(
      "Answers a conversation.",
      ["ChatRequest", "ChatCompletion"],
      {
        example: { model: "scribe", messages: [{ role: "user", content: "Returns a promise " }] },
        stream: true,
      },
    ),
    "POST /v1/completions": openAiPost(
      "Goes on with a text.",
      ["CompletionRequest", "Completion"],
      {
        example: { model: "scribe", prompt: "Returns a promise ", max_tokens: 40 },
        stream: true,
      },
    ),
    "POST /v1/embeddings": openAiPost(
      "Turns texts into vectors.",
      ["EmbeddingsRequest", "Embeddings"],
      {
        example: { model: "minilm", input: "The weather is lovely today." },
        stream: false,
      },
    ),
  };
  return {
    ...posts,
    "GET /v1/models": openAiList(
      "Lists the models that these routes answer.",
      "The models.",
      "ModelList",
    ),
    "GET /v1/models/:model": openAiList("Describes one of them.", "The model.", "Model"),
  };
}

const moment = (name: "from" | "to") =>
  ({
    name,
    in: "query",
    description: "A year, month, day or hour of UTC: `2026-11-24T22`.",
    schema: TEXT,
  }) as const;

function aboutOperations(): Operations {
  const open = { tag: "About", who: "everybody", concerns: [] } as const;
  const cached = ["cache-control", "etag"];
  return {
    "GET /": {
      ...open,
      summary: "Says what this is.",
      answer: {
        description: "Where to go on.",
        content: { "application/json": { schema: object({ name: TEXT }) } },
      },
    },
    "GET /openapi.json": {
      ...open,
      summary: "Describes this API.",
      headers: ["if-none-match"],
      notModified: true,
      answer: {
        description: "This document.",
        content: { "application/json": { schema: object({ openapi: TEXT, info: {}, paths: {} }) } },
        headers: cached,
      },
    },
    "GET /docs": {
      ...open,
      summary: "Shows this document to people.",
      headers: ["if-none-match"],
      notModified: true,
      answer: {
        description: "The page.",
        content: { "text/html": { schema: TEXT } },
        headers: [
          ...cached,
          "content-security-policy",
          "referrer-policy",
          "x-content-type-options",
        ],
      },
    },
    "GET /docs/:release/:file": {
      ...open,
      summary: "A file of that page.",
      concerns: ["path"],
      headers: ["if-none-match", "accept-encoding"],
      notModified: true,
      answer: {
        description: "It never changes.",
        content: {
          "text/javascript": { schema: TEXT },
          "text/css": { schema: TEXT },
          "text/plain": { schema: TEXT },
        },
        headers: [...cached, "content-encoding", "vary", "x-content-type-options"],
      },
    },
    "GET /v1/usage": {
      tag: "Account",
      summary: "Tells what the caller's own account has used.",
      who: "key",
      concerns: ["caller", "request", "usage"],
      query: [
        moment("from"),
        moment("to"),
        {
          name: "by",
          in: "query",
          description: `Some of ${USAGE_DIMENSIONS.join(", ")}, with commas between them.`,
          schema: TEXT,
        },
      ],
      answer: {
        description: "Requests, units and amounts.",
        content: { "application/json": { schema: ref("Usage") } },
        headers: ["cache-control"],
      },
    },
    "GET /.well-known/jwks.json": {
      ...open,
      tag: "Account",
      summary: "The public keys that receipts are checked with.",
      answer: {
        description: "The keys.",
        content: { "application/jwk-set+json": { schema: ref("KeySet") } },
        headers: ["cache-control"],
      },
    },
  };
}
