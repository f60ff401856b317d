import { floatsOfBf16, type Tensor } from "../../runtime/tensor.ts";

/** https://tc39.es/proposal-json-parse-with-source/#sec-json.rawjson: the only exact way for 64-bit integers. */
declare global {
  interface JSON {
    rawJSON(text: string): unknown;
  }
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
    case "BF16":
      return Array.from(floatsOfBf16(tensor.data));
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
