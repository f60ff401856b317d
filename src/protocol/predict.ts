import type { Manifest } from "../catalog/manifest.ts";
import type { Context } from "../context.ts";
import { corpusWish, search, seek } from "../corpus/request.ts";
import { NearsideError } from "../errors.ts";
import type { Target } from "../routing/choose.ts";
import { RemoteSession } from "../origin/remote-session.ts";
import { runHere, runThere } from "../tasks/drive.ts";
import { checkHuggingFaceTask, inHuggingFaceForm } from "../tasks/hugging-face.ts";
import { type BoundTask, taskFor } from "../tasks/index.ts";
import type { Parameters } from "../tasks/parameters.ts";
import type { TaskRequest, TaskResult } from "../tasks/task.ts";
import { type MediaType, decodeJson, isJson, mediaType, parseJson, readBody } from "./body.ts";
import { answer } from "./pipeline.ts";

/**
 * `POST /v1/predict/{model}[/versions/{v}]`: `{"inputs": …, "parameters": {…}}`, or a raw body of a media
 * type that the task takes. Parameters may stand in the query, too; those of a body count.
 */
export function postPredict(context: Context, target: Target, request: Request): Promise<Response> {
  const type = mediaType(request.headers.get("content-type"));
  return answer(context, target, request, {
    maxBodyBytes: ({ limits }) => limits.maxBodyBytes,
    read(manifest, maxBytes) {
      refuseMediaType(type, taskOf(manifest));
      return readBody(request, maxBytes);
    },
    decode(body, manifest, limits) {
      const task = taskOf(manifest);
      // A shadow's task may take other media types.
      refuseMediaType(type, task);
      const asked = taskRequest(body, type, request.url);
      checkHuggingFaceTask(manifest.task.type, asked.parameters);
      const wish = corpusWish(asked.parameters, manifest);
      return { task, input: task.decode(asked, limits), parameters: asked.parameters, wish };
    },
    estimate: ({ task, input }) => task.estimate(input),
    run: (model, { task, input }) => runHere(task.run(model.resources, input), model),
    encode: (result, { parameters }) => encode(result, parameters),
    async forward(origin, { task, input, parameters }, _body, manifest, rank) {
      const session = new RemoteSession(origin.caller, manifest, origin.onAnswer);
      const resources = await origin.resources();
      const result = await rank(await runThere(task.run(resources, input, origin.limits), session));
      return { response: encode(result, parameters), units: result.units };
    },
    answerOf: ({ output, comparable = output }) => ({ form: "task", output: comparable }),
    units: ({ units }) => units,
    corpora: {
      seek: ({ task, input, wish }, catalog, manifest) =>
        wish && seek(catalog, wish, manifest, task.vectors(input)),
      rank: (corpus, sought, { output, units }) => ({
        output: search(corpus, sought, output),
        units: { ...units, vectors: sought.vectors },
      }),
    },
  });
}

function encode({ output }: TaskResult, parameters: Parameters): Response {
  return new Response(JSON.stringify(inHuggingFaceForm(output, parameters)), {
    headers: { "content-type": "application/json" },
  });
}

function taskOf(manifest: Manifest): BoundTask {
  const task = taskFor(manifest);
  if (task !== undefined) return task;
  throw new NearsideError(
    "invalid_request",
    manifest.task.type === "text-generation"
      ? `"${manifest.name}" goes on with texts: use /v1/chat/completions or /v1/completions.`
      : `"${manifest.name}" takes tensors only: use /v2/models/${manifest.name}/infer.`,
    { field: "model" },
  );
}

function refuseMediaType(type: MediaType, task: BoundTask): void {
  if (isJson(type) || accepts(task, essenceOf(type))) return;
  const accepted = ["application/json", ...task.mediaTypes].join(", ");
  throw new NearsideError(
    "unsupported_media_type",
    `${type.essence === "" ? "There is no content type" : `"${type.essence}" is not accepted`}; send one of ${accepted}.`,
    { field: "content-type" },
  );
}

function taskRequest(bytes: Uint8Array<ArrayBuffer>, type: MediaType, url: string): TaskRequest {
  const ofQuery = queryParameters(new URL(url).searchParams);
  if (!isJson(type)) {
    return {
      kind: "raw",
      mediaType: essenceOf(type),
      mediaParameters: type.parameters,
      bytes,
      parameters: ofQuery,
    };
  }
  const body = parseJson(decodeJson(bytes));
  if (typeof body !== "object" || body === null || !("inputs" in body)) {
    throw new NearsideError("invalid_request", 'The body must be an object with "inputs".', {
      field: "inputs",
    });
  }
  // Hugging Face's clients send a text's parameters beside `inputs`.
  const { inputs, parameters: named, ...beside } = body as JsonBody;
  const parameters = named ?? {};
  if (typeof parameters !== "object" || Array.isArray(parameters)) {
    throw new NearsideError("invalid_request", '"parameters" must be an object.', {
      field: "parameters",
    });
  }
  return { kind: "json", inputs, parameters: { ...ofQuery, ...beside, ...parameters } };
}

interface JsonBody {
  readonly inputs: unknown;
  readonly parameters?: unknown;
}

/** A body without a content type is taken for bytes (RFC 9110 §8.3): Hugging Face's clients send files so. */
function essenceOf({ essence }: MediaType): string {
  return essence === "" ? "application/octet-stream" : essence;
}

/** `text/*` in a task's list takes every subtype. */
function accepts(task: BoundTask, essence: string): boolean {
  return task.mediaTypes.some((type) =>
    type.endsWith("/*") ? essence.startsWith(type.slice(0, -1)) : essence === type,
  );
}

/** These are texts, whatever they look like: a corpus may be called "123". */
const TEXTS: ReadonlySet<string> = new Set(["corpus", "task"]);

/** Numbers and booleans as themselves, so that a query says what JSON would. */
function queryParameters(query: URLSearchParams): Record<string, unknown> {
  const parameters: Record<string, unknown> = {};
  for (const [name, value] of query) {
    const number = Number(value);
    if (TEXTS.has(name)) parameters[name] = value;
    else if (value === "true" || value === "false") parameters[name] = value === "true";
    else parameters[name] = value.trim() !== "" && Number.isFinite(number) ? number : value;
  }
  return parameters;
}
