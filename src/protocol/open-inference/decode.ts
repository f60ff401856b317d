import type { Manifest, TensorSpec } from "../../catalog/manifest.ts";
import { NearsideError } from "../../errors.ts";
import {
  DATATYPES,
  elementCount,
  type Feed,
  type NumericDatatype,
  type Tensor,
  isDatatype,
} from "../../runtime/tensor.ts";
import { type BinaryPart, decodeBody } from "./binary-body.ts";
import { isClassifiable } from "./classification.ts";
import { decodeElements, malformed, object, refuseNul } from "./elements.ts";
import {
  asksForBinary,
  binarySizeOf,
  type RequestedOutput,
  requestedOutputs,
} from "./parameters.ts";
import { checkAxes, checkSizes, decodeShape, refuseBatch, type ShapeLimits } from "./shapes.ts";
import { checkStrings, textsOf, wrongSize } from "./strings.ts";

/** An input of a request: its elements where it came as JSON, else its bytes as they came. */
export interface InferInput {
  readonly name: string;
  readonly datatype: Tensor["datatype"];
  readonly shape: readonly number[];
  /** A part of the body. */
  readonly bytes?: Uint8Array<ArrayBuffer>;
  /** What a session here takes. Without it the bytes do, or they are strings that only a pool can read. */
  readonly tensor?: Tensor;
}

/** A request of `POST /v2/models/{m}/infer`, checked against the model's signature. */
export interface InferRequest {
  readonly id: string | undefined;
  readonly inputs: readonly InferInput[];
  /** The outputs asked for, in that order; all of the model's when none were named. */
  readonly outputs: readonly RequestedOutput[];
}

/** What a session is fed. */
export function feedsOf({ inputs }: InferRequest): Record<string, Feed> {
  return Object.fromEntries(
    inputs.map(({ name, datatype, shape, bytes = new Uint8Array(), tensor }) => [
      name,
      tensor ?? { datatype: datatype as NumericDatatype, shape, bytes },
    ]),
  );
}

/**
 * Decodes an inference request of the Open Inference Protocol, and copies none of its tensors' bytes.
 * https://github.com/open-inference/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
 *
 * @param headerLength how much of the body is JSON; undefined for all of it
 * @throws NearsideError `invalid_json`, `invalid_request`, `invalid_tensor`, `batch_too_large`, `input_too_long`
 */
export function decodeInferRequest(
  body: Uint8Array<ArrayBuffer>,
  headerLength: number | undefined,
  manifest: Manifest,
  limits: ShapeLimits,
): InferRequest {
  return decodeBody(body, headerLength, (document, binaryPart) =>
    decodeRequest(document, manifest, limits, binaryPart),
  );
}

function decodeRequest(
  request: unknown,
  manifest: Manifest,
  limits: ShapeLimits,
  binaryPart: BinaryPart,
): InferRequest {
  const { id, inputs, outputs, parameters } = object(request, "");
  if (id !== undefined && typeof id !== "string") {
    throw malformed("id", "must be a string");
  }
  refuseState(parameters, "parameters");
  if (!Array.isArray(inputs)) throw malformed("inputs", "must be an array of tensors");
  const decoded = new Map<string, InferInput>();
  for (const [index, input] of inputs.entries()) {
    const field = `inputs[${index}]`;
    const one = decodeInput(object(input, field), { manifest, limits, binaryPart, field });
    if (decoded.has(one.name)) throw malformed(`${field}.name`, `repeats "${one.name}"`);
    decoded.set(one.name, one);
  }
  const missing = manifest.inputs.find(({ name }) => !decoded.has(name));
  if (missing !== undefined) {
    throw new NearsideError("invalid_tensor", `The input "${missing.name}" is missing.`, {
      field: "inputs",
    });
  }
  checkAxes([...decoded.values()], manifest);
  return {
    id,
    inputs: [...decoded.values()],
    outputs: selectedOutputs(outputs, manifest, asksForBinary(parameters)),
  };
}

interface Place {
  readonly manifest: Manifest;
  readonly limits: ShapeLimits;
  readonly binaryPart: BinaryPart;
  readonly field: string;
}

function decodeInput(
  { name, datatype, shape, data, parameters }: Record<string, unknown>,
  { manifest, limits, binaryPart, field }: Place,
): InferInput {
  const spec = specOf(name, manifest, `${field}.name`);
  refuseState(parameters, `${field}.parameters`);
  const dimensions = checkInput({ shape, datatype }, spec, field);
  refuseBatch(spec, dimensions, limits, `${field}.shape[0]`);
  checkSizes(spec, dimensions, manifest, limits, `${field}.shape`);
  const input = { name: spec.name, datatype: spec.datatype, shape: dimensions };
  const size = binarySizeOf({ data, parameters }, field);
  if (size === undefined) {
    return { ...input, tensor: decodeElements(spec.datatype, dimensions, data, `${field}.data`) };
  }
  const sizeField = `${field}.parameters.binary_data_size`;
  return withBytes(input, binaryPart.take(size, sizeField), limits, sizeField);
}

/**
 * An input of these bytes. A pool's model may read strings as it likes, pictures for example; here they are texts.
 *
 * @throws NearsideError `invalid_tensor`
 */
export function withBytes(
  input: Pick<InferInput, "name" | "datatype" | "shape">,
  bytes: Uint8Array<ArrayBuffer>,
  { placement }: ShapeLimits,
  field: string,
): InferInput {
  const { datatype, shape } = input;
  if (datatype === "BYTES") {
    if (placement === "origin") {
      checkStrings(bytes, shape, field);
      return { ...input, bytes };
    }
    const data = textsOf(bytes, shape, field);
    for (const [index, text] of data.entries()) refuseNul(text, field, index);
    return { ...input, bytes, tensor: { datatype, shape, data } };
  }
  if (elementCount(shape) * DATATYPES[datatype].bytes !== bytes.length) {
    throw wrongSize(datatype, shape, bytes.length, field);
  }
  return { ...input, bytes };
}

/** The input that a request names. @throws NearsideError `invalid_request`, `invalid_tensor` */
function specOf(name: unknown, { inputs }: Manifest, field: string): TensorSpec {
  if (typeof name !== "string") throw malformed(field, "must be a string");
  const spec = inputs.find((one) => one.name === name);
  if (spec !== undefined) return spec;
  throw new NearsideError(
    "invalid_tensor",
    `The model has no input "${name}"; it has ${inputs.map((one) => `"${one.name}"`).join(", ")}.`,
    { field },
  );
}

function selectedOutputs(
  outputs: unknown,
  manifest: Manifest,
  binaryOutputs: boolean,
): readonly RequestedOutput[] {
  const all = manifest.outputs.map(({ name }) => ({ name, binary: binaryOutputs }));
  if (outputs === undefined) return all;
  const asked = requestedOutputs(outputs, binaryOutputs);
  for (const [index, { name, classification }] of asked.entries()) {
    const field = `outputs[${index}]`;
    const { parameters } = object((outputs as readonly unknown[])[index], field);
    refuseState(parameters, `${field}.parameters`);
    const spec = manifest.outputs.find((one) => one.name === name);
    if (spec === undefined) {
      const names = all.map((one) => one.name).join(", ");
      throw new NearsideError(
        "invalid_tensor",
        `The model has no output "${name}"; it has ${names}.`,
        { field: `${field}.name` },
      );
    }
    if (classification !== undefined && !isClassifiable(spec.datatype)) {
      throw malformed(
        `${field}.parameters.classification`,
        `asks for classes, which ${spec.datatype} does not have`,
      );
    }
  }
  const names = asked.map(({ name }) => name);
  if (new Set(names).size !== names.length) throw malformed("outputs", "names an output twice");
  return asked.length === 0 ? all : asked;
}

/**
 * The shape of an input, if it fits the model.
 *
 * @throws NearsideError `invalid_request`, `invalid_tensor`
 */
function checkInput(
  { shape, datatype }: { readonly shape?: unknown; readonly datatype?: unknown },
  spec: TensorSpec,
  field: string,
): number[] {
  if (typeof datatype !== "string" || !isDatatype(datatype)) {
    throw malformed(
      `${field}.datatype`,
      "must be a datatype of the protocol, such as FP32 or INT64",
    );
  }
  if (datatype !== spec.datatype) {
    throw new NearsideError(
      "invalid_tensor",
      `"${spec.name}" takes ${spec.datatype}, not ${datatype}.`,
      {
        field: `${field}.datatype`,
      },
    );
  }
  return decodeShape(shape, spec, `${field}.shape`);
}

/** What names memory of the server's machine, or the state that it keeps for whoever names it. */
const OTHERS_STATE = /^(?:shared_memory_|sequence_)/;

/** @throws NearsideError `invalid_request` for a parameter that no caller may set, wherever the model runs */
function refuseState(parameters: unknown, field: string): void {
  if (parameters === undefined) return;
  const name = Object.keys(object(parameters, field)).find((key) => OTHERS_STATE.test(key));
  if (name !== undefined) throw malformed(`${field}.${name.slice(0, 64)}`, "is not offered");
}
