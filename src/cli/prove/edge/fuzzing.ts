import fc from "fast-check";

import { WIRE_FORMS } from "../../../protocol/problem.ts";
import { type Check, hold } from "../check.ts";
import { type Edge, predict } from "./edge-client.ts";

const REQUESTS = 2_000;
const HANG_MS = 15_000;

const MODELS = ["iris", "minilm", "guesslang", "vad"];

const model = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...MODELS) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "nope",
      "__proto__",
      "constructor",
      "%2e%2e",
      "a b",
      "☃",
      "%E0%A4%A",
    ),
  },
);
const version = fc.constantFrom(
  "",
  "",
  "",
  "/versions/1",
  "/versions/stable",
  "/versions/99",
  "/versions/-1",
  "/versions/__proto__",
);
const path = fc.oneof(
  fc.tuple(model, version).map(([name, which]) => `/v1/predict/${name}${which}`),
  fc
    .tuple(model, version, fc.constantFrom("", "/infer", "/infer", "/ready", "/nothing"))
    .map(([name, which, end]) => `/v2/models/${name}${which}${end}`),
  fc.constantFrom(
    "/",
    "/v2",
    "/v2/",
    "//",
    "/v2/health/live",
    "/v2/health/ready",
    "/v1",
    "/v1/predict",
    "/v2/models",
    "/favicon.ico",
  ),
);
const query = fc.constantFrom(
  "",
  "",
  "?top_k=3",
  "?top_k=-1",
  "?encoding=pcm_s16le&sample_rate=16000",
  "?encoding=%00",
  "?__proto__=1",
);

const number = fc.oneof(
  fc.double({ noNaN: true }),
  fc.integer(),
  fc.constantFrom(0, -1, 1e39, 2 ** 31, 2 ** 53 + 2),
);
const shape = fc.array(fc.oneof(fc.nat(6), fc.constantFrom(-1, 1e9, 0.5, 4, 576, 384)), {
  maxLength: 5,
});
const tensor = fc.record(
  {
    name: fc.constantFrom(
      "features",
      "bytes",
      "input_ids",
      "attention_mask",
      "input",
      "state",
      "sr",
      "x",
      "__proto__",
    ),
    datatype: fc.constantFrom(
      "FP32",
      "INT64",
      "INT32",
      "BYTES",
      "BOOL",
      "FP16",
      "BF16",
      "",
      "float",
    ),
    shape,
    data: fc.oneof(
      fc.array(number, { maxLength: 24 }),
      fc.array(fc.array(number, { maxLength: 4 }), { maxLength: 4 }),
      fc.jsonValue(),
    ),
    parameters: fc.oneof(fc.constant({}), fc.jsonValue()),
  },
  { requiredKeys: [] },
);
const inferBody = fc.record(
  {
    id: fc.oneof(fc.string(), fc.jsonValue()),
    inputs: fc.oneof(
      { weight: 4, arbitrary: fc.array(tensor, { maxLength: 4 }) },
      { weight: 1, arbitrary: fc.jsonValue() },
    ),
    outputs: fc.oneof(fc.array(fc.record({ name: fc.string() }), { maxLength: 3 }), fc.jsonValue()),
    parameters: fc.jsonValue(),
  },
  { requiredKeys: [] },
);
const text = fc.string({ unit: "binary", maxLength: 300 });
const predictBody = fc.record(
  {
    inputs: fc.oneof(
      fc.jsonValue(),
      text,
      fc.array(text, { maxLength: 5 }),
      fc.array(fc.array(number, { maxLength: 6 }), { maxLength: 6 }),
    ),
    parameters: fc.oneof(
      fc.jsonValue(),
      fc.record(
        { top_k: fc.jsonValue(), truncate: fc.jsonValue(), threshold: fc.jsonValue() },
        { requiredKeys: [] },
      ),
    ),
  },
  { requiredKeys: [] },
);
const body = fc.oneof(
  inferBody.map((value) => JSON.stringify(value)),
  predictBody.map((value) => JSON.stringify(value)),
  fc.string(),
  fc.uint8Array({ maxLength: 2000 }),
  fc
    .uint8Array({ maxLength: 400 })
    .map(
      (bytes) => new Uint8Array([...new TextEncoder().encode("RIFF\0\0\0\0WAVEfmt "), ...bytes]),
    ),
);
const contentType = fc.constantFrom(
  "application/json",
  "application/json",
  "application/json; charset=utf-8",
  "text/plain",
  "text/csv",
  "audio/wav",
  "audio/l16;rate=16000",
  "application/octet-stream",
  "",
  "multipart/form-data; boundary=x",
  ";;;",
);
const headers = fc.record(
  {
    "x-request-id": fc.string({ unit: fc.constantFrom("a", "Z", "9", "-", " ", "{", "é") }),
    accept: fc.constantFrom("*/*", "text/html", "x"),
    origin: fc.constant("https://example.com"),
    "inference-header-content-length": fc.constantFrom("0", "-1", "99999999", "x"),
    range: fc.constant("bytes=0-1"),
    "access-control-request-method": fc.constantFrom("POST", "FETCH"),
  },
  { requiredKeys: [] },
);
const method = fc.constantFrom(
  "POST",
  "POST",
  "POST",
  "POST",
  "GET",
  "HEAD",
  "PUT",
  "DELETE",
  "PATCH",
  "OPTIONS",
);

/** Arbitrary JSON, tensors and headers at every route. */
export const fuzzing: Check<Edge> = {
  claim: "no request makes an undocumented error or hangs, and the next one works",
  async run(edge) {
    const statuses = new Map<number, number>();
    const request = fc.record({ method, path, query, body, contentType, headers });
    await fc.assert(
      fc.asyncProperty(request, async (words) => {
        const carriesBody = words.method !== "GET" && words.method !== "HEAD";
        const response = await fetch(edge.edgeUrl + words.path + words.query, {
          method: words.method,
          headers: {
            ...asciiOnly(words.headers),
            ...(words.contentType === "" ? {} : { "content-type": words.contentType }),
          },
          ...(carriesBody ? { body: words.body as string | Uint8Array<ArrayBuffer> } : {}),
          signal: AbortSignal.timeout(HANG_MS),
        });
        const answer = await response.text();
        statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
        hold(response.headers.has("x-request-id"), "an answer has no x-request-id");
        if (response.status < 400 || words.method === "HEAD") return;
        const { code, detail } = JSON.parse(answer) as {
          code: keyof typeof WIRE_FORMS;
          detail: string;
        };
        hold(
          WIRE_FORMS[code]?.status === response.status,
          `${response.status} ${answer} is not documented`,
        );
        hold(code !== "internal" && code !== "instance_trapped", `${response.status} ${answer}`);
        hold(
          !/\bat \w+ \(|\.ts:|\.cc:|MODELS|CATALOG/.test(detail),
          `${detail} shows what is inside`,
        );
      }),
      { numRuns: REQUESTS },
    );
    const after = await predict<unknown[]>(edge, "iris", { inputs: [5.1, 3.5, 1.4, 0.2] });
    hold(after.length === 3, "the request after the storm was not answered");
    const seen = [...statuses]
      .sort(([a], [b]) => a - b)
      .map(([status, count]) => `${status}×${count}`);
    return { fuzzRequests: REQUESTS, fuzzStatuses: seen.join(" ") };
  },
};

/** fetch itself refuses other header values. */
function asciiOnly(values: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      value.replaceAll(/[^\u0020-\u007e]/g, "").trim(),
    ]),
  );
}
