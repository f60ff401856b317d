import type { Manifest } from "../../catalog/manifest.ts";
import { NearsideError } from "../../errors.ts";
import { DATATYPES, elementCount } from "../../runtime/tensor.ts";
import { HEADER_LENGTH } from "./binary-body.ts";
import { type InferRequest, withBytes } from "./decode.ts";
import { checkSizes, refuseBatch, type ShapeLimits } from "./shapes.ts";

const LENGTH_BYTES = 4;

/**
 * A raw binary request: the body is the model's one input and nothing else, and every output is wanted as bytes.
 * What its shape leaves open follows from the body's length. A string is one, and has no length before it.
 *
 * @throws NearsideError `invalid_request` for a model of which that is not enough to know, `invalid_tensor`,
 *   `batch_too_large`, `input_too_long`
 */
export function decodeRawBody(
  body: Uint8Array<ArrayBuffer>,
  manifest: Manifest,
  limits: ShapeLimits,
): InferRequest {
  const { inputs, outputs } = manifest;
  const [spec, another] = inputs;
  if (spec === undefined || another !== undefined) {
    throw refusal("a model of one input");
  }
  const { name, datatype } = spec;
  const isText = datatype === "BYTES";
  const open = spec.shape.filter((size) => size === -1).length;
  if (!isText && open > 1) throw refusal("an input with one dimension of variable size at most");
  const known = spec.shape.map((size) => (size === -1 ? 1 : size));
  if (isText && elementCount(known) !== 1) throw refusal("a single string");
  const bytes = isText ? withLength(body) : body;
  const one = elementCount(known) * DATATYPES[datatype].bytes;
  const rest = isText || one === 0 ? 1 : Math.floor(body.length / one);
  const shape = spec.shape.map((size) => (size === -1 ? rest : size));
  refuseBatch(spec, shape, limits, HEADER_LENGTH);
  checkSizes(spec, shape, manifest, limits, HEADER_LENGTH);
  return {
    id: undefined,
    inputs: [withBytes({ name, datatype, shape }, bytes, limits, HEADER_LENGTH)],
    outputs: outputs.map((output) => ({ name: output.name, binary: true })),
  };
}

function withLength(text: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(LENGTH_BYTES + text.length);
  new DataView(bytes.buffer).setUint32(0, text.length, true);
  bytes.set(text, LENGTH_BYTES);
  return bytes;
}

function refusal(needs: string): NearsideError {
  return new NearsideError(
    "invalid_request",
    `A body without JSON needs ${needs}; say with ${HEADER_LENGTH} how much of it is JSON.`,
    { field: HEADER_LENGTH },
  );
}
