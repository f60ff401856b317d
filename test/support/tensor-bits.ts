import type { Tensor } from "../../src/runtime/tensor.ts";

/** Every bit of some tensors, as text that can be compared and hashed. */
export function bitsOf(tensors: Readonly<Record<string, Tensor>>): string {
  const told = Object.entries(tensors).map(([name, { datatype, shape, data }]) => {
    const content = Array.isArray(data)
      ? JSON.stringify(data)
      : hexOf(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return `${name} ${datatype} [${shape.join()}] ${content}`;
  });
  return told.join("\n");
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

function hexOf(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += HEX[byte];
  return text;
}
