import * as v from "valibot";

import { isPrivateAddress } from "./endpoint-guard.ts";

/** From the first byte sent to the first byte of the answer: a third of what a caller waits by default, so that an endpoint that hangs leaves time for two others. */
export const DEFAULT_TIMEOUT_MS = 10_000;
/** A stream that says nothing for so long has stalled: the slowest models write several tokens a second. */
export const DEFAULT_IDLE_MS = 10_000;
/** Per isolate. Each holds the buffers of one request, and an isolate has 128 MB. */
export const DEFAULT_MAX_IN_FLIGHT = 64;
/** Half of what is in flight: whoever waits behind more would wait longer than `DEFAULT_QUEUE_WAIT_MS`. */
export const DEFAULT_QUEUE_LENGTH = 32;
/** A person notices two seconds; a caller that is told earlier can go elsewhere. */
export const DEFAULT_QUEUE_WAIT_MS = 2_000;
/** Of all requests. Retries of more than a tenth turn an overload into an outage. */
export const DEFAULT_RETRY_BUDGET = 0.1;
/**
 * Two looks of the cron, a minute apart, and what KV needs to tell: a word is good until the next one must have come,
 * even if that one is late; what is older says nothing about now.
 */
export const HEALTH_MAX_AGE_MS = 180_000;
/** More would make the choice itself cost more than it saves. */
export const MAX_ENDPOINTS = 256;
/** Nobody waits longer; and a timer of more holds a request's place. */
const LONGEST_MS = 600_000;
const LONGEST_QUEUE_WAIT_MS = 60_000;
/** Sixteen times the default: each holds a body of up to 8 MiB. */
const MOST_AT_ONCE = 1_024;
const MAX_URL_CHARACTERS = 2_048;
const MAX_HEADERS = 16;
const MAX_HEADER_CHARACTERS = 1_024;

/** A header of these would be a secret in a document that every operator reads; `secretRef` is the way. */
const SECRET_HEADERS =
  /auth|cookie|secret|token|passw|credential|bearer|session|jwt|api-?key|(?:^|[-_])key(?:$|[-_])/i;
const SECRET_VALUES =
  /^(?:bearer|basic|digest|negotiate)\s|^(?:sk|pk|ghp|hf|xox[bp])[-_]|^eyJ[\w-]+\.|BEGIN .*KEY/i;
/** And these are the transport's, the signature's, or what the Worker sets or passes on itself. */
const RESERVED_HEADERS =
  /^(?:host|content-.*|connection|keep-alive|transfer-encoding|te|trailer|upgrade|expect|range|accept|accept-encoding|origin|referer|via|forwarded|x-forwarded-.*|x-real-ip|true-client-ip|inference-header-content-length|signature|signature-input|nearside-.*|cf-.*|proxy-.*)$/i;

const whole = (least: number, most: number) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(least), v.maxValue(most));

const HeaderName = v.pipe(
  v.string(),
  v.maxLength(128),
  v.regex(/^[!#$%&'*+.^_`|~0-9a-z-]+$/i, "must be a header's name"),
  v.check((name) => !SECRET_HEADERS.test(name), "must not hold a secret: use secretRef"),
  v.check(
    (name) => !RESERVED_HEADERS.test(name),
    "must not be a header of the transport, or one that Nearside sets",
  ),
);
const HeaderValue = v.pipe(
  v.string(),
  v.maxLength(MAX_HEADER_CHARACTERS),
  v.regex(/^[\t\x20-\x7e]*$/, "must be printable ASCII"),
  v.check((value) => !SECRET_VALUES.test(value), "must not hold a secret: use secretRef"),
);

/** The address below which the protocol's paths are: `https://gpu-1.example.com/v1`. */
const EndpointUrl = v.pipe(
  v.string(),
  v.maxLength(MAX_URL_CHARACTERS),
  v.check((url) => !/[\s\p{Cc}]/u.test(url), "must have no spaces and no tabs"),
  v.check(
    (url) => /^https?:$/.test(URL.parse(url)?.protocol ?? ""),
    "must be an http or https URL",
  ),
  v.check((url) => {
    const parsed = URL.parse(url);
    return (parsed?.username ?? "") === "" && (parsed?.password ?? "") === "";
  }, "must have no credentials"),
  v.check((url) => !/[?#]/.test(url), "must have no query and no fragment"),
  v.transform(normalised),
);

/** One server of a pool. */
export const PoolEndpoint = v.strictObject({
  url: EndpointUrl,
  /** Its share of the requests, relative to the others'. */
  weight: v.optional(v.pipe(v.number(), v.minValue(0.01), v.maxValue(100)), 1),
  /** What the model is called there, where that is not its name here. */
  model: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(256))),
  /** Sent with each request. The catalog is no place for secrets. */
  headers: v.optional(
    v.pipe(
      v.record(HeaderName, HeaderValue),
      v.check((all) => Object.keys(all).length <= MAX_HEADERS, `must be ${MAX_HEADERS} at most`),
    ),
  ),
  /** Names a secret of the origin Worker, which is sent as `Authorization: Bearer`. */
  secretRef: v.optional(
    v.pipe(
      v.string(),
      v.regex(
        /^ORIGIN_SECRET_[A-Z0-9_]{1,64}$/,
        "must name a secret of the origin Worker: ORIGIN_SECRET_…",
      ),
    ),
  ),
});
export type PoolEndpoint = v.InferOutput<typeof PoolEndpoint>;

/** What the cron's active check found. */
export const EndpointHealth = v.strictObject({
  healthy: v.boolean(),
  /** Milliseconds since 1970. */
  at: v.pipe(v.number(), v.minValue(0)),
});
export type EndpointHealth = v.InferOutput<typeof EndpointHealth>;

/** Servers that are as good as each other for the models that name the pool. */
export const OriginPool = v.pipe(
  v.strictObject({
    protocol: v.picklist(["open-inference", "openai"]),
    endpoints: v.pipe(
      v.array(PoolEndpoint),
      v.minLength(1, "must have at least one endpoint"),
      v.maxLength(MAX_ENDPOINTS),
      v.check(
        (endpoints) => new Set(endpoints.map(({ url }) => url)).size === endpoints.length,
        "must not name an endpoint twice",
      ),
    ),
    timeoutMs: v.optional(whole(1, LONGEST_MS), DEFAULT_TIMEOUT_MS),
    idleMs: v.optional(whole(1, LONGEST_MS), DEFAULT_IDLE_MS),
    /** Requests that one isolate has under way. */
    maxInFlight: v.optional(whole(1, MOST_AT_ONCE), DEFAULT_MAX_IN_FLIGHT),
    queue: v.optional(
      v.strictObject({
        length: v.optional(whole(0, MOST_AT_ONCE), DEFAULT_QUEUE_LENGTH),
        waitMs: v.optional(whole(0, LONGEST_QUEUE_WAIT_MS), DEFAULT_QUEUE_WAIT_MS),
      }),
      {},
    ),
    retry: v.optional(
      v.strictObject({
        /** Retries and hedges, as a part of the requests; 0 for none at all. */
        budget: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1)), DEFAULT_RETRY_BUDGET),
      }),
      {},
    ),
    /** Ask a second endpoint when the first is slower than 95 of 100 answers. */
    hedge: v.optional(v.boolean(), true),
    /** For development, and for pools behind a tunnel. */
    allowPrivate: v.optional(v.boolean(), false),
    /** Requests carry an RFC 9421 signature. */
    sign: v.optional(v.boolean(), true),
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed || dataset.value.allowPrivate) return;
    for (const { url, secretRef } of dataset.value.endpoints) {
      if (isPrivateAddress(url)) {
        addIssue({ message: `${url} is a private address, which needs "allowPrivate": true` });
      }
      if (secretRef !== undefined && !url.startsWith("https:")) {
        addIssue({ message: `${url} would get its secret unencrypted: use https` });
      }
    }
  }),
);
export type OriginPool = v.InferOutput<typeof OriginPool>;

/** Two ways to write one address are one address. */
function normalised(url: string): string {
  return (URL.parse(url)?.href ?? url).replace(/\/+$/, "");
}
