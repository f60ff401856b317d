import type { Manifest } from "../../catalog/manifest.ts";
import type { Context } from "../../context.ts";
import { NearsideError } from "../../errors.ts";
import { callOrigin } from "../../origin/call-origin.ts";
import { inferPath } from "../../origin/remote-session.ts";
import type { Target } from "../../routing/choose.ts";
import { elementCount, type Tensor } from "../../runtime/tensor.ts";
import { decodeJson, isJson, type MediaType, mediaType, readBody } from "../body.ts";
import { passThrough } from "../pass-through.ts";
import { answer, type Exchange } from "../pipeline.ts";
import type { Forwarded, Origin } from "../run.ts";
import { BINARY_MEDIA_TYPE, HEADER_LENGTH, headerLengthOf, inputHeads } from "./binary.ts";
import { decodeInferRequest, type InferRequest, refuseBatch } from "./decode.ts";
import { encodeInferResponse } from "./encode.ts";

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
    forward: (origin, input, body, manifest) =>
      forward(origin, body, manifest, unitsOf(input), {
        "content-type": "application/json",
        accept: "application/json",
      }),
    answerOf: (tensors) => ({ form: "tensors", tensors }),
    units: (_, input) => unitsOf(input),
  };
}

function unitsOf({ feeds }: InferRequest): { readonly elements: number } {
  return { elements: Object.values(feeds).reduce((sum, { data }) => sum + data.length, 0) };
}

interface BinaryInput {
  readonly elements: number;
}

/** Bytes that only a pool can use: they are passed on as they are. */
function binaryExchange(request: Request, headerLength: number): Exchange<BinaryInput, never> {
  return {
    maxBodyBytes: () => MAX_BODY_BYTES,
    read: (_manifest, maxBytes) => readBody(request, maxBytes),
    decode(body, manifest, limits) {
      if (limits?.placement !== "origin") throw notHere();
      const heads = inputHeads(body, headerLength);
      for (const [index, { name, shape }] of heads.entries()) {
        const spec = manifest.inputs.find((input) => input.name === name);
        refuseBatch(spec, shape, limits.maxBatch, `inputs[${index}].shape[0]`);
      }
      return { elements: heads.reduce((sum, { shape }) => sum + elementCount(shape), 0) };
    },
    estimate: ({ elements }) => ({ elements }),
    run() {
      throw notHere();
    },
    encode() {
      throw notHere();
    },
    forward: (origin, { elements }, body, manifest) =>
      forward(
        origin,
        body,
        manifest,
        { elements },
        {
          "content-type": BINARY_MEDIA_TYPE,
          accept: `${BINARY_MEDIA_TYPE}, application/json`,
          [HEADER_LENGTH]: String(headerLength),
        },
      ),
    answerOf: () => ({ form: "tensors", tensors: {} }),
    units: (_, { elements }) => ({ elements }),
  };
}

function notHere(): NearsideError {
  return new NearsideError(
    "invalid_request",
    "The edge does not offer the binary tensor extension; send JSON, or have the request placed at the origin.",
    { field: HEADER_LENGTH },
  );
}

/** Sends the body as it came, and passes the answer on as it comes. */
async function forward(
  origin: Origin,
  body: Uint8Array<ArrayBuffer>,
  manifest: Manifest,
  units: Readonly<Record<string, number>>,
  headers: Readonly<Record<string, string>>,
): Promise<Forwarded> {
  const { caller } = origin;
  const path = inferPath(caller, manifest);
  const upstream = await callOrigin(caller, { path, body, headers });
  origin.onAnswer(upstream.headers);
  if (upstream.body === null) {
    throw new NearsideError("origin_failed", "The origin's answer has no body.");
  }
  const answerHeaders = new Headers({ "content-type": "application/json" });
  const length = upstream.headers.get(HEADER_LENGTH);
  if (length !== null && /^\d+$/.test(length)) {
    answerHeaders.set("content-type", BINARY_MEDIA_TYPE);
    answerHeaders.set(HEADER_LENGTH, length);
  }
  const { body: passed, ended } = passThrough(upstream.body, upstream.status, caller.signal);
  return { response: new Response(passed, { headers: answerHeaders }), units, ended };
}
