import type { Manifest, TensorSpec } from "../../catalog/manifest.ts";
import { NearsideError } from "../../errors.ts";
import { type Tensor, isDatatype } from "../../runtime/tensor.ts";
import { decodeElements, malformed, object, parseTensors } from "./elements.ts";

/** A request of `POST /v2/models/{m}/infer`, checked against the model's signature. */
export interface InferRequest {
  readonly id: string | undefined;
  readonly feeds: Readonly<Record<string, Tensor>>;
  /** Names of the outputs asked for, in that order; all of the model's when none were named. */
  readonly outputs: readonly string[];
}

/** A tensor may have more axes than any operator uses; a request may not make us loop for long. */
const MAX_RANK = 8;

/**
 * Decodes an inference request of the Open Inference Protocol.
 * https://github.com/open-inference/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
 *
 * @throws NearsideError `invalid_json`, `invalid_request`, `invalid_tensor`, `batch_too_large`
 */
export function decodeInferRequest(
  text: string,
  manifest: Manifest,
  maxBatch: number = manifest.limits.maxBatch,
): InferRequest {
  return parseTensors(text, (request) => decodeRequest(request, manifest, maxBatch));
}

function decodeRequest(request: unknown, manifest: Manifest, maxBatch: number): InferRequest {
  const { id, inputs, outputs, parameters } = object(request, "");
  if (id !== undefined && typeof id !== "string") {
    throw malformed("id", "must be a string");
  }
  optionalParameters(parameters, "parameters");
  if (!Array.isArray(inputs)) throw malformed("inputs", "must be an array of tensors");
  const feeds: Record<string, Tensor> = Object.create(null);
  for (const [index, input] of inputs.entries()) {
    const field = `inputs[${index}]`;
    const spec = specOf(object(input, field)["name"], manifest, `${field}.name`);
    const { name } = spec;
    if (name in feeds) throw malformed(`${field}.name`, `repeats "${name}"`);
    feeds[name] = decodeTensor(object(input, field), spec, field, maxBatch);
  }
  for (const { name } of manifest.inputs) {
    if (!(name in feeds)) {
      throw new NearsideError("invalid_tensor", `The input "${name}" is missing.`, {
        field: "inputs",
      });
    }
  }
  return { id, feeds, outputs: selectedOutputs(outputs, manifest, optionalParameters) };
}

/** The input that a request names. @throws NearsideError `invalid_request`, `invalid_tensor` */
export function specOf(name: unknown, { inputs }: Manifest, field: string): TensorSpec {
  if (typeof name !== "string") throw malformed(field, "must be a string");
  const spec = inputs.find((one) => one.name === name);
  if (spec !== undefined) return spec;
  throw new NearsideError(
    "invalid_tensor",
    `The model has no input "${name}"; it has ${inputs.map((one) => `"${one.name}"`).join(", ")}.`,
    { field },
  );
}

/** The outputs that a request names, else all of them. @throws NearsideError `invalid_request`, `invalid_tensor` */
export function selectedOutputs(
  outputs: unknown,
  manifest: Manifest,
  checkParameters: (parameters: unknown, field: string) => void,
): readonly string[] {
  const all = manifest.outputs.map(({ name }) => name);
  if (outputs === undefined) return all;
  if (!Array.isArray(outputs)) throw malformed("outputs", "must be an array");
  const names = outputs.map((output, index) => {
    const field = `outputs[${index}]`;
    const { name, parameters } = object(output, field);
    checkParameters(parameters, `${field}.parameters`);
    if (typeof name !== "string") throw malformed(`${field}.name`, "must be a string");
    if (!all.includes(name)) {
      throw new NearsideError(
        "invalid_tensor",
        `The model has no output "${name}"; it has ${all.join(", ")}.`,
        {
          field: `${field}.name`,
        },
      );
    }
    return name;
  });
  if (new Set(names).size !== names.length) throw malformed("outputs", "names an output twice");
  return names.length === 0 ? all : names;
}

function decodeTensor(
  { shape, datatype, data, parameters }: Record<string, unknown>,
  spec: TensorSpec,
  field: string,
  maxBatch: number,
): Tensor {
  optionalParameters(parameters, `${field}.parameters`);
  const dimensions = checkInput({ shape, datatype }, spec, field, maxBatch);
  return decodeElements(spec.datatype, dimensions, data, `${field}.data`);
}

/**
 * The shape of an input, if it fits the model.
 *
 * @throws NearsideError `invalid_request`, `invalid_tensor`, `batch_too_large`
 */
export function checkInput(
  { shape, datatype }: { readonly shape?: unknown; readonly datatype?: unknown },
  spec: TensorSpec,
  field: string,
  maxBatch: number,
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
  const dimensions = decodeShape(shape, spec, `${field}.shape`);
  refuseBatch(spec, dimensions, maxBatch, `${field}.shape[0]`);
  return dimensions;
}

function refuseBatch(
  spec: TensorSpec | undefined,
  shape: readonly number[],
  maxBatch: number,
  field: string,
): void {
  if (spec?.shape[0] !== -1 || (shape[0] ?? 0) <= maxBatch) return;
  throw new NearsideError("batch_too_large", `One request may carry ${maxBatch} inputs at most.`, {
    field,
  });
}

function decodeShape(shape: unknown, spec: TensorSpec, field: string): number[] {
  const isShape =
    Array.isArray(shape) &&
    shape.length <= MAX_RANK &&
    shape.every((size) => Number.isInteger(size) && size >= 0 && size <= 0x7fff_ffff);
  if (!isShape) throw malformed(field, "must be an array of non-negative integers");
  const fits =
    shape.length === spec.shape.length &&
    spec.shape.every((size, axis) => size === -1 || size === shape[axis]);
  if (fits) return shape as number[];
  throw new NearsideError(
    "invalid_tensor",
    `"${spec.name}" takes shape [${spec.shape.join(", ")}], not [${shape.join(", ")}]` +
      (spec.shape.includes(-1) ? " (-1 is any size)." : "."),
    { field },
  );
}

/** What names memory of the server's machine, or the state that it keeps for whoever names it. */
const OTHERS_STATE = /^(?:shared_memory_|sequence_)/;

/** @throws NearsideError `invalid_request` for a parameter that no caller may set, wherever the model runs */
export function refuseState(parameters: unknown, field: string): void {
  if (parameters === undefined) return;
  const name = Object.keys(object(parameters, field)).find((key) => OTHERS_STATE.test(key));
  if (name !== undefined) throw malformed(`${field}.${name.slice(0, 64)}`, "is not offered");
}

/** Nearside acts on none in JSON form, and passes none on, but refuses to ignore binary data. */
function optionalParameters(parameters: unknown, field: string): void {
  if (parameters === undefined) return;
  refuseState(parameters, field);
  const { binary_data, binary_data_size, binary_data_output } = object(parameters, field);
  if (binary_data === true || binary_data_size !== undefined || binary_data_output === true) {
    throw malformed(
      field,
      "asks for the binary tensor extension, which this server does not offer",
    );
  }
}
