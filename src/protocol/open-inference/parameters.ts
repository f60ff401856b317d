import { malformed, object } from "./elements.ts";

/** An output that a request asks for. */
export interface RequestedOutput {
  readonly name: string;
  readonly binary: boolean;
  /** How many of its classes are asked for in its place. */
  readonly classification?: number | undefined;
}

/** The parameters that the extensions of binary data and classification know. */
export interface BinaryParameters {
  readonly binary_data?: unknown;
  readonly binary_data_size?: unknown;
  readonly binary_data_output?: unknown;
  readonly classification?: unknown;
}

export function parametersOf(parameters: unknown, field: string): BinaryParameters {
  return parameters === undefined ? {} : object(parameters, field);
}

/** Whether a request wants its outputs as bytes, by its own parameters. @throws NearsideError `invalid_request` */
export function asksForBinary(parameters: unknown): boolean {
  const { binary_data_output: asked } = parametersOf(parameters, "parameters");
  return flag(asked, "parameters.binary_data_output") ?? false;
}

function flag(value: unknown, field: string): boolean | undefined {
  if (value === undefined || typeof value === "boolean") return value;
  throw malformed(field, "must be true or false");
}

/** As Triton has it, 0 classes are none: the output itself. */
function countOf(value: unknown, field: string): number | undefined {
  if (value === undefined || value === 0) return undefined;
  if (Number.isInteger(value) && (value as number) > 0 && (value as number) <= 0x7fff_ffff) {
    return value as number;
  }
  throw malformed(field, "must be a number of classes");
}

/** The outputs that a request names. @throws NearsideError `invalid_request` */
export function requestedOutputs(outputs: unknown, binaryOutputs: boolean): RequestedOutput[] {
  if (!Array.isArray(outputs)) throw malformed("outputs", "must be an array");
  return outputs.map((output, index) => {
    const field = `outputs[${index}]`;
    const { name, parameters } = object(output, field);
    if (typeof name !== "string") throw malformed(`${field}.name`, "must be a string");
    const asked = parametersOf(parameters, `${field}.parameters`);
    return {
      name,
      binary: flag(asked.binary_data, `${field}.parameters.binary_data`) ?? binaryOutputs,
      classification: countOf(asked.classification, `${field}.parameters.classification`),
    };
  });
}

/** How many bytes of a tensor stand behind the JSON; undefined where its data is in it. */
export function binarySizeOf(
  { data, parameters }: { readonly data: unknown; readonly parameters: unknown },
  field: string,
): number | undefined {
  const { binary_data_size: size } = parametersOf(parameters, `${field}.parameters`);
  if (size === undefined) return undefined;
  if (data !== undefined) throw malformed(field, "has both data and binary data");
  if (Number.isSafeInteger(size) && (size as number) >= 0) return size as number;
  throw malformed(`${field}.parameters.binary_data_size`, "must be a number of bytes");
}
