import type { Manifest } from "../../catalog/manifest.ts";
import type { Context } from "../../context.ts";
import { NearsideError } from "../../errors.ts";
import { callOrigin } from "../../origin/call-origin.ts";
import { inferPath } from "../../origin/remote-session.ts";
import { answerLimit } from "../../origin/tensor-answer.ts";
import type { Target } from "../../routing/choose.ts";
import { elementCount, type Tensor } from "../../runtime/tensor.ts";
import { decodeJson, isJson, type MediaType, mediaType, readBody } from "../body.ts";
import { answer, type Exchange } from "../pipeline.ts";
import type { Origin } from "../run.ts";
import { BINARY_MEDIA_TYPE, HEADER_LENGTH, headerLengthOf } from "./binary.ts";
import { decodeInferRequest, type InferRequest } from "./decode.ts";
import { encodeInferResponse } from "./encode.ts";
import { answerHeaders, jsonForPool } from "./pool-form.ts";
import { decodeRawRequest, encodeRawRequest, type RawRequest } from "./raw-request.ts";

/**
 * JSON spends up to 20 bytes on a float: a 224×224×3 image fits. Text, parsed values and tensors of a body
 * stand beside the models in the isolate's 128 MB, and of several requests at once.
 */
const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** `POST /v2/models/{m}[/versions/{v}]/infer`: JSON, and bytes for models that run in a pool. */
export async function postInfer(
  context: Context,
  target: Target,
  request: Request,
): Promise<Response> {
  const type = mediaType(request.headers.get("content-type"));
  const headerLength = headerLengthOf(request.headers);
  return headerLength === undefined
    ? answer(context, target, request, jsonExchange(request, type))
    : answer(context, target, request, binaryExchange(request, headerLength));
}

function jsonExchange(
  request: Request,
  type: MediaType,
): Exchange<InferRequest, Record<string, Tensor>> {
  return {
    maxBodyBytes: () => MAX_BODY_BYTES,
    async read(_manifest, maxBytes) {
      if (type.essence !== "" && !isJson(type)) {
        throw new NearsideError("unsupported_media_type", "Send application/json.", {
          field: "content-type",
        });
      }
      return readBody(request, maxBytes);
    },
    decode: (body, manifest, limits) =>
      decodeInferRequest(decodeJson(body), manifest, limits?.maxBatch),
    estimate: unitsOf,
    run: ({ session }, { feeds, outputs }) => session.run(feeds, outputs),
    encode: (tensors, { id, outputs }, manifest) =>
      new Response(encodeInferResponse(manifest, id, outputs, tensors), {
        headers: { "content-type": "application/json" },
      }),
    async forward(origin, input, body, manifest) {
      const response = await forward(origin, manifest, {
        body: jsonForPool(body, input),
        headers: { "content-type": "application/json", accept: "application/json" },
        shapes: Object.entries(input.feeds).map(([name, { shape }]) => ({ name, shape })),
      });
      return { response, units: unitsOf(input) };
    },
    answerOf: (tensors) => ({ form: "tensors", tensors }),
    units: (_, input) => unitsOf(input),
  };
}

function unitsOf({ feeds }: InferRequest): { readonly elements: number } {
  return { elements: Object.values(feeds).reduce((sum, { data }) => sum + data.length, 0) };
}

/** Bytes that only a pool can use: they go there as they are, behind JSON that is what was read of it. */
function binaryExchange(request: Request, headerLength: number): Exchange<RawRequest, never> {
  return {
    maxBodyBytes: () => MAX_BODY_BYTES,
    read: (_manifest, maxBytes) => readBody(request, maxBytes),
    decode(body, manifest, limits) {
      if (limits?.placement !== "origin") throw notHere();
      return decodeRawRequest(body, headerLength, manifest, limits.maxBatch);
    },
    estimate: elementsOf,
    run() {
      throw notHere();
    },
    encode() {
      throw notHere();
    },
    async forward(origin, input, _body, manifest) {
      const { body, headerLength: length } = encodeRawRequest(input);
      const headers = {
        "content-type": BINARY_MEDIA_TYPE,
        accept: `${BINARY_MEDIA_TYPE}, application/json`,
        [HEADER_LENGTH]: String(length),
      };
      const response = await forward(origin, manifest, { body, headers, shapes: input.inputs });
      return { response, units: elementsOf(input) };
    },
    answerOf: () => ({ form: "tensors", tensors: {} }),
    units: (_, input) => elementsOf(input),
  };
}

function elementsOf({ inputs }: RawRequest): { readonly elements: number } {
  return { elements: inputs.reduce((sum, { shape }) => sum + elementCount(shape), 0) };
}

function notHere(): NearsideError {
  return new NearsideError(
    "invalid_request",
    "The edge does not offer the binary tensor extension; send JSON, or have the request placed at the origin.",
    { field: HEADER_LENGTH },
  );
}

interface ForPool {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly headers: Readonly<Record<string, string>>;
  readonly shapes: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

/** Asks the pool, and passes its answer on once it is known to be one. */
async function forward(
  { caller, onAnswer }: Origin,
  manifest: Manifest,
  { body, headers, shapes }: ForPool,
): Promise<Response> {
  const path = inferPath(caller, manifest);
  const upstream = await callOrigin(caller, { path, body, headers, idempotent: true });
  onAnswer(upstream.headers);
  const byName = Object.fromEntries(shapes.map(({ name, shape }) => [name, shape]));
  const bytes = await upstream.bytes(answerLimit(manifest, byName));
  const asBytes = HEADER_LENGTH in headers;
  return new Response(bytes, { headers: answerHeaders(upstream.headers, bytes, asBytes) });
}
