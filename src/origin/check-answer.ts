/**
 * Whether an answer that is all there is plainly not what the endpoint meant to say: JSON that can't be read, or
 * binary tensors (the Open Inference Protocol's extension) that don't add up to the body.
 */
export function isCorrupt(headers: Headers, bytes: Uint8Array): boolean {
  const headerLength = headers.get("inference-header-content-length");
  if (headerLength !== null) return !addsUp(bytes, Number(headerLength));
  const type = headers.get("content-type") ?? "";
  return /^application\/(?:[\w.+-]+\+)?json\b/i.test(type) && readJson(bytes) === undefined;
}

function addsUp(bytes: Uint8Array, headerLength: number): boolean {
  if (!Number.isInteger(headerLength) || headerLength < 2 || headerLength > bytes.length) {
    return false;
  }
  const header = readJson(bytes.subarray(0, headerLength));
  const outputs = propertyOf(header, "outputs");
  if (!Array.isArray(outputs)) return false;
  const sizes = outputs.map((output) =>
    Number(propertyOf(propertyOf(output, "parameters"), "binary_data_size") ?? 0),
  );
  return headerLength + sizes.reduce((sum, size) => sum + size, 0) === bytes.length;
}

function propertyOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}

/** @returns undefined when it is none, which no JSON is */
export function readJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(
      new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes),
    ) as unknown;
  } catch {
    return undefined;
  }
}
