import type { Manifest } from "../../catalog/manifest.ts";
import type { Tensor } from "../../runtime/tensor.ts";

/** https://tc39.es/proposal-json-parse-with-source/#sec-json.rawjson: the only exact way for 64-bit integers. */
declare global {
  interface JSON {
    rawJSON(text: string): unknown;
  }
}

/** The body of an inference response; data is flat, in row-major order. */
export function encodeInferResponse(
  manifest: Manifest,
  id: string | undefined,
  outputs: readonly string[],
  tensors: Readonly<Record<string, Tensor>>,
): string {
  return JSON.stringify({
    model_name: manifest.name,
    model_version: String(manifest.version),
    ...(id === undefined ? {} : { id }),
    outputs: outputs.flatMap((name) => {
      const tensor = tensors[name];
      if (tensor === undefined) return [];
      const { datatype, shape } = tensor;
      return [{ name, datatype, shape, data: elements(tensor) }];
    }),
  });
}

/** The elements of a tensor for JSON. It has no NaN and no infinities: they become null, as JSON.stringify has it. */
export function elements(tensor: Tensor): unknown[] {
  switch (tensor.datatype) {
    case "BYTES":
      return tensor.data;
    case "BOOL":
      return Array.from(tensor.data, (bit) => bit !== 0);
    case "FP16":
      return Array.from(
        new Float16Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.length),
      );
    case "INT64":
    case "UINT64":
      return Array.from(tensor.data, exactInteger);
    default:
      return Array.from(tensor.data as Float32Array);
  }
}

function exactInteger(value: bigint): unknown {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : JSON.rawJSON(String(value));
}
