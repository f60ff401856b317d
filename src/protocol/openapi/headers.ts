import type { EXPOSED_HEADERS } from "../cors.ts";
import { COUNT, type Parameter, type Schema, TEXT } from "./schema.ts";

interface Header {
  readonly description: string;
  readonly schema: Schema;
}

/** Headers of requests; Authorization and X-Api-Key are security schemes. */
export const REQUEST_HEADERS = {
  "nearside-user": {
    description:
      "Who the request is for, as the caller's own backend calls them: the same user gets the same variant of a model everywhere.",
    schema: TEXT,
  },
  "nearside-override": {
    description:
      "A version, a label or a variant instead of the flag's choice: for the operator, and for keys with the scope `override`.",
    schema: TEXT,
  },
  "nearside-placement": {
    description: "Where the request is to run.",
    schema: { enum: ["edge", "origin"] },
  },
  "nearside-timeout-ms": {
    description:
      "When an answer from an origin pool must have begun; 30 seconds, unless said otherwise.",
    schema: { type: "integer", minimum: 1, maximum: 3_600_000 },
  },
  "idempotency-key": {
    description: "A request that is sent again with the same key is answered, and billed, once.",
    schema: { type: "string", minLength: 1, maxLength: 255, pattern: "^[!-~]+$" },
  },
  "inference-header-content-length": {
    description: "How many bytes of the body are JSON; the tensors' bytes come behind them.",
    schema: COUNT,
  },
  "x-request-id": {
    description: "The caller's own id of the request, which the answer repeats.",
    schema: { type: "string", pattern: "^[\\w.:+/=-]{1,128}$" },
  },
  "if-none-match": { description: "The ETag of what the caller has.", schema: TEXT },
  "accept-encoding": {
    description: "Codings that the answer may have.",
    schema: TEXT,
  },
  "content-encoding": {
    description: "How the body is compressed.",
    schema: { enum: ["gzip", "deflate", "identity"] },
  },
} as const satisfies Record<string, Header>;

export type RequestHeader = keyof typeof REQUEST_HEADERS;

type Exposed = (typeof EXPOSED_HEADERS)[number];

/** Headers of answers: those that pages may read do not compile without a row here. */
export const RESPONSE_HEADERS: { readonly [H in Exposed]: Header } & Readonly<
  Record<string, Header>
> = {
  "nearside-model": { description: "The model that answered.", schema: TEXT },
  "nearside-version": { description: "Its version.", schema: COUNT },
  "nearside-start": {
    description: "How the model got ready, where it ran at the edge.",
    schema: { enum: ["warm", "restored", "loaded"] },
  },
  "nearside-catalog": { description: "The number of the catalog that decided.", schema: COUNT },
  "nearside-reason": { description: "Why this version, in OpenFeature's words.", schema: TEXT },
  "nearside-flag": { description: "The flag that chose the version.", schema: TEXT },
  "nearside-variant": { description: "The flag's variant.", schema: TEXT },
  "nearside-placement": {
    description: "Where the request ran.",
    schema: { enum: ["edge", "origin"] },
  },
  "nearside-placement-reason": { description: "Why there.", schema: TEXT },
  "nearside-endpoint-ms": {
    description: "How long the pool's server took, in milliseconds.",
    schema: { type: "number", minimum: 0 },
  },
  "nearside-attempts": { description: "Servers that were asked.", schema: COUNT },
  "nearside-hedged": {
    description: "Whether a second server was asked while the first was at work.",
    schema: { enum: ["true", "false"] },
  },
  "nearside-cost": {
    description: "The list price of this answer, in whole nano-dollars.",
    schema: { type: "string", pattern: "^\\d+ nano-usd$" },
  },
  "nearside-receipt": {
    description: "The signed statement of this request (JWS); see /.well-known/jwks.json.",
    schema: TEXT,
  },
  "x-litellm-response-cost": {
    description: "The same in dollars, as LiteLLM reads it.",
    schema: TEXT,
  },
  "idempotent-replayed": {
    description: "The answer is the one that was given before.",
    schema: { const: "true" },
  },
  ratelimit: { description: "What is left (draft-ietf-httpapi-ratelimit-headers).", schema: TEXT },
  "ratelimit-policy": { description: "What a caller may ask for.", schema: TEXT },
  "www-authenticate": { description: "How to show a key (RFC 6750).", schema: TEXT },
  "inference-header-content-length": {
    description: "How many bytes of the body are JSON, where tensors follow as bytes.",
    schema: COUNT,
  },
  "server-timing": { description: "What the request's phases took.", schema: TEXT },
  "x-request-id": { description: "The request's id, the caller's or a new one.", schema: TEXT },
  "retry-after": { description: "Seconds after which a retry may succeed.", schema: COUNT },
  "cache-control": { description: "How long the answer may be kept.", schema: TEXT },
  "content-encoding": { description: "How the body is compressed.", schema: TEXT },
  "content-security-policy": { description: "What the page may load.", schema: TEXT },
  etag: { description: "Of this representation, for If-None-Match.", schema: TEXT },
  "referrer-policy": { description: "What the page tells of itself.", schema: TEXT },
  vary: { description: "What else the answer depends on.", schema: TEXT },
  "x-content-type-options": {
    description: "The type is what it says.",
    schema: { const: "nosniff" },
  },
  allow: { description: "The methods of the path.", schema: TEXT },
  "access-control-allow-origin": {
    description: "Pages of every origin may ask.",
    schema: { const: "*" },
  },
  "access-control-expose-headers": { description: "Headers that pages may read.", schema: TEXT },
  "access-control-allow-methods": { description: "Of a preflight's path.", schema: TEXT },
  "access-control-allow-headers": { description: "What the preflight asked for.", schema: TEXT },
  "access-control-max-age": { description: "Seconds that a preflight may be kept.", schema: COUNT },
  "timing-allow-origin": { description: "Pages may read the timing.", schema: { const: "*" } },
};

/** Of every answer, whatever it is. */
export const EVERYWHERE = [
  "x-request-id",
  "server-timing",
  "ratelimit-policy",
  "access-control-allow-origin",
  "access-control-expose-headers",
  "timing-allow-origin",
] as const;

/** Of the answers of models. */
export const OF_INFERENCE = [
  "nearside-model",
  "nearside-version",
  "nearside-start",
  "nearside-catalog",
  "nearside-reason",
  "nearside-flag",
  "nearside-variant",
  "nearside-placement",
  "nearside-placement-reason",
  "nearside-endpoint-ms",
  "nearside-attempts",
  "nearside-hedged",
  "nearside-cost",
  "nearside-receipt",
  "x-litellm-response-cost",
  "idempotent-replayed",
] as const;

export const OF_REFUSALS = [
  "cache-control",
  "retry-after",
  "ratelimit",
  "www-authenticate",
] as const;

export function requestHeaders(names: readonly RequestHeader[]): Parameter[] {
  return names.map((name) => ({ name, in: "header", ...REQUEST_HEADERS[name] }));
}

/** References to what `components.headers` says. */
export function responseHeaders(names: readonly string[]): object {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}
