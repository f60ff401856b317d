import type { Manifest } from "../../catalog/manifest.ts";
import type { Context } from "../../context.ts";
import { NearsideError } from "../../errors.ts";
import { callOrigin } from "../../origin/call-origin.ts";
import { inferPath } from "../../origin/remote-session.ts";
import { answerLimit } from "../../origin/tensor-answer.ts";
import type { Target } from "../../routing/choose.ts";
import { elementCount } from "../../runtime/tensor.ts";
import { edgeLimits } from "../../tasks/limits.ts";
import { isJson, mediaType, readBody } from "../body.ts";
import { compressed } from "../compression.ts";
import { answer, type Exchange } from "../pipeline.ts";
import type { Origin } from "../run.ts";
import {
  BINARY_MEDIA_TYPE,
  type BinaryBody,
  HEADER_LENGTH,
  headerLengthOf,
} from "./binary-body.ts";
import { decodeInferRequest, feedsOf, type InferRequest } from "./decode.ts";
import { encodeInferAnswer, type InferAnswer } from "./infer-answer.ts";
import { answerHeaders, bodyForPool } from "./pool-form.ts";
import { decodeRawBody } from "./raw-request.ts";

/**
 * JSON spends up to 20 bytes on a float: a 224×224×3 image fits. Text, parsed values and tensors of a body
 * stand beside the models in the isolate's 128 MB, and of several requests at once.
 */
const MAX_JSON_BYTES = 4 * 1024 * 1024;

/** Bytes are neither parsed nor copied before the model takes them: eight such images are 4.8 MB. */
const MAX_BINARY_BYTES = 8 * 1024 * 1024;

/** `POST /v2/models/{m}[/versions/{v}]/infer`: tensors as JSON, as bytes, or both. */
export async function postInfer(
  context: Context,
  target: Target,
  request: Request,
): Promise<Response> {
  const headerLength = headerLengthOf(request.headers);
  const response = await answer(context, target, request, exchange(request, headerLength));
  return compressed(request, response);
}

function exchange(
  request: Request,
  headerLength: number | undefined,
): Exchange<InferRequest, InferAnswer> {
  const isJsonMostly = headerLength === undefined || headerLength > MAX_JSON_BYTES;
  return {
    maxBodyBytes: () => (isJsonMostly ? MAX_JSON_BYTES : MAX_BINARY_BYTES),
    async read(_manifest, maxBytes) {
      if (headerLength === undefined) refuseOtherThanJson(request);
      return readBody(request, maxBytes);
    },
    decode(body, manifest, limits = edgeLimits(manifest)) {
      refuseEnsemble(manifest);
      return headerLength === 0
        ? decodeRawBody(body, manifest, limits)
        : decodeInferRequest(body, headerLength, manifest, limits);
    },
    estimate: unitsOf,
    run: ({ session, manifest }, input) =>
      session.runAndRead(
        feedsOf(input),
        input.outputs.map(({ name }) => name),
        (tensors) => encodeInferAnswer(manifest, input.id, input.outputs, tensors),
      ),
    encode: ({ body, headerLength: length }) =>
      new Response(body, { headers: headersOf({ body, headerLength: length }) }),
    async forward(origin, input, body, manifest) {
      const response = await forward(origin, manifest, input, bodyForPool(body, input));
      return { response, units: unitsOf(input) };
    },
    answerOf: (output) => ({
      form: "tensors",
      get tensors() {
        return output.tensors();
      },
    }),
    units: (_, input) => unitsOf(input),
  };
}

/** Its members' tensors never leave it. */
function refuseEnsemble({ name, members }: Manifest): void {
  if (members === undefined) return;
  throw new NearsideError(
    "invalid_request",
    `"${name}" is an ensemble, and takes no tensors: use /v1/predict/${name}.`,
    { field: "model" },
  );
}

function refuseOtherThanJson({ headers }: Request): void {
  const type = mediaType(headers.get("content-type"));
  if (type.essence === "" || isJson(type)) return;
  throw new NearsideError(
    "unsupported_media_type",
    `Send application/json, or say with ${HEADER_LENGTH} how much of the body is JSON.`,
    { field: "content-type" },
  );
}

function unitsOf({ inputs }: InferRequest): { readonly elements: number } {
  return { elements: inputs.reduce((sum, { shape }) => sum + elementCount(shape), 0) };
}

function headersOf({ headerLength }: BinaryBody): Record<string, string> {
  return headerLength === undefined
    ? { "content-type": "application/json" }
    : { "content-type": BINARY_MEDIA_TYPE, [HEADER_LENGTH]: String(headerLength) };
}

/** Asks the pool, and passes its answer on once it is known to be one. */
async function forward(
  { caller, onAnswer }: Origin,
  manifest: Manifest,
  { inputs }: InferRequest,
  asked: BinaryBody,
): Promise<Response> {
  const path = inferPath(caller, manifest);
  const asBytes = asked.headerLength !== undefined;
  const accept = asBytes ? `${BINARY_MEDIA_TYPE}, application/json` : "application/json";
  const headers = { ...headersOf(asked), accept };
  const upstream = await callOrigin(caller, { path, body: asked.body, headers, idempotent: true });
  onAnswer(upstream.headers);
  const shapes = Object.fromEntries(inputs.map(({ name, shape }) => [name, shape]));
  const bytes = await upstream.bytes(answerLimit(manifest, shapes));
  return new Response(bytes, { headers: answerHeaders(upstream.headers, bytes, asBytes) });
}
