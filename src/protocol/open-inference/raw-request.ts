import type { Manifest } from "../../catalog/manifest.ts";
import { NearsideError } from "../../errors.ts";
import { DATATYPES, elementCount, type Tensor } from "../../runtime/tensor.ts";
import {
  type BinaryBody,
  type BinaryPart,
  binarySizeOf,
  decodeBody,
  join,
  parametersOf,
  type RequestedOutput,
  requestedOutputs,
  stringsOf,
  wrongSize,
} from "./binary.ts";
import { checkInput, refuseState, selectedOutputs, specOf } from "./decode.ts";
import { decodeElements, malformed, object } from "./elements.ts";
import { elements } from "./encode.ts";

/** An input whose bytes are as they came, or a tensor where it came as JSON. */
export type RawInput = Pick<Tensor, "datatype" | "shape"> & {
  readonly name: string;
  readonly content: Uint8Array | Tensor;
};

/** A request of the binary tensor data extension that fits a model, for a server to compute. */
export interface RawRequest {
  readonly id: string | undefined;
  readonly inputs: readonly RawInput[];
  readonly outputs: readonly RequestedOutput[];
}

/**
 * Decodes a request against the model's signature, and copies none of its tensors' bytes.
 *
 * @throws NearsideError `invalid_json`, `invalid_request`, `invalid_tensor`, `batch_too_large`
 */
export function decodeRawRequest(
  bytes: Uint8Array<ArrayBuffer>,
  headerLength: number,
  manifest: Manifest,
  maxBatch: number,
): RawRequest {
  return decodeBody(bytes, headerLength, (document, binaryPart) => {
    const { id, inputs, outputs, parameters } = object(document, "");
    if (id !== undefined && typeof id !== "string") throw malformed("id", "must be a string");
    refuseState(parameters, "parameters");
    if (!Array.isArray(inputs)) throw malformed("inputs", "must be an array of tensors");
    const decoded = new Map<string, RawInput>();
    for (const [index, input] of inputs.entries()) {
      const field = `inputs[${index}]`;
      const one = decodeInput(object(input, field), { manifest, maxBatch, binaryPart, field });
      if (decoded.has(one.name)) throw malformed(`${field}.name`, `repeats "${one.name}"`);
      decoded.set(one.name, one);
    }
    const missing = manifest.inputs.find(({ name }) => !decoded.has(name));
    if (missing !== undefined) {
      throw new NearsideError("invalid_tensor", `The input "${missing.name}" is missing.`, {
        field: "inputs",
      });
    }
    const asBytes = parametersOf(parameters, "parameters").binary_data_output === true;
    const asked = outputs === undefined ? [] : requestedOutputs(outputs, asBytes);
    const names = selectedOutputs(outputs, manifest, refuseState);
    return {
      id,
      inputs: [...decoded.values()],
      outputs: names.map(
        (name) => asked.find((output) => output.name === name) ?? { name, binary: asBytes },
      ),
    };
  });
}

/** Encodes it again: what was read, and nothing that was not. */
export function encodeRawRequest({ id, inputs, outputs }: RawRequest): BinaryBody {
  const parts: Uint8Array[] = [];
  const header = {
    ...(id !== undefined && { id }),
    inputs: inputs.map(({ name, datatype, shape, content }) => {
      if (!(content instanceof Uint8Array)) {
        return { name, datatype, shape, data: elements(content) };
      }
      parts.push(content);
      return { name, datatype, shape, parameters: { binary_data_size: content.length } };
    }),
    outputs: outputs.map(({ name, binary }) => ({ name, parameters: { binary_data: binary } })),
  };
  return join(header, parts);
}

interface Place {
  readonly manifest: Manifest;
  readonly maxBatch: number;
  readonly binaryPart: BinaryPart;
  readonly field: string;
}

function decodeInput(
  { name, datatype, shape, data, parameters }: Record<string, unknown>,
  { manifest, maxBatch, binaryPart, field }: Place,
): RawInput {
  const spec = specOf(name, manifest, `${field}.name`);
  refuseState(parameters, `${field}.parameters`);
  const dimensions = checkInput({ shape, datatype }, spec, field, maxBatch);
  const input = { name: spec.name, datatype: spec.datatype, shape: dimensions };
  const size = binarySizeOf({ data, parameters }, field);
  if (size === undefined) {
    return { ...input, content: decodeElements(spec.datatype, dimensions, data, `${field}.data`) };
  }
  const sizeField = `${field}.parameters.binary_data_size`;
  const content = binaryPart.take(size, sizeField);
  // What the strings say is the model's affair: pictures come as such.
  if (spec.datatype === "BYTES") stringsOf(content, dimensions, sizeField);
  else if (elementCount(dimensions) * DATATYPES[spec.datatype].bytes !== size) {
    throw wrongSize(spec.datatype, dimensions, size, sizeField);
  }
  return { ...input, content };
}
