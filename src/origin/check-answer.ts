import type { Operation } from "./incoming.ts";

const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i;
const BINARY_TYPE = /^application\/octet-stream\s*(?:;|$)/i;
const EVENTS_TYPE = /^text\/event-stream\s*(?:;|$)/i;
const HEADER_LENGTH = "inference-header-content-length";

/** Where each operation's answer has its results. */
const RESULTS: { readonly [O in Operation]: string } = {
  infer: "outputs",
  text: "choices",
  embeddings: "data",
};

/** Server-sent events, each of them for the reader now. */
export function isEvents(headers: Headers): boolean {
  return EVENTS_TYPE.test(headers.get("content-type") ?? "");
}

/** Whether a good answer may begin like this: a proxy's page, or nothing at all, does not. */
export function mayAnswer(operation: Operation, status: number, headers: Headers): boolean {
  if (status !== 200) return false;
  const type = headers.get("content-type") ?? "";
  if (operation === "infer") {
    return headers.has(HEADER_LENGTH) ? BINARY_TYPE.test(type) : JSON_TYPE.test(type);
  }
  return JSON_TYPE.test(type) || (operation === "text" && EVENTS_TYPE.test(type));
}

/**
 * Whether an answer that is all there is not what the operation promises: JSON without results or with an error, or
 * binary tensors (the Open Inference Protocol's extension) that don't add up to the body.
 */
export function isCorrupt(operation: Operation, headers: Headers, bytes: Uint8Array): boolean {
  const headerLength = operation === "infer" ? headers.get(HEADER_LENGTH) : null;
  if (headerLength !== null) return !addsUp(bytes, Number(headerLength));
  return resultsOf(operation, readJson(bytes)) === undefined;
}

/**
 * What is known of a stream of events by its beginning.
 *
 * @param ended there is no more of it
 * @returns `open` while its first event is not complete
 */
export function judgeEvents(text: string, ended: boolean): "open" | "good" | "corrupt" {
  const events = text.replaceAll(/\r\n?/g, "\n").split("\n\n");
  if (!ended) events.pop();
  for (const event of events) {
    const lines = event.split("\n");
    // Comments keep a connection alive while nothing is said yet.
    if (!lines.some((line) => /^(?:data|event)\b/.test(line))) continue;
    if (lines.some((line) => /^event: ?error$/.test(line))) return "corrupt";
    const data = lines.flatMap((line) => /^data: ?(.*)$/.exec(line)?.[1] ?? []).join("\n");
    if (data === "[DONE]") return "good";
    const said = parsed(data);
    return said === undefined || hasError(said) ? "corrupt" : "good";
  }
  return ended ? "corrupt" : "open";
}

function resultsOf(operation: Operation, said: unknown): readonly unknown[] | undefined {
  const results = propertyOf(said, RESULTS[operation]);
  return Array.isArray(results) && !hasError(said) ? results : undefined;
}

function hasError(said: unknown): boolean {
  return (propertyOf(said, "error") ?? null) !== null;
}

function addsUp(bytes: Uint8Array, headerLength: number): boolean {
  if (!Number.isInteger(headerLength) || headerLength < 2 || headerLength > bytes.length) {
    return false;
  }
  const outputs = resultsOf("infer", readJson(bytes.subarray(0, headerLength)));
  if (outputs === undefined) return false;
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

function parsed(text: string): unknown {
  return readJson(new TextEncoder().encode(text));
}
