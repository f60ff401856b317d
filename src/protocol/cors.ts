/**
 * CORS for browser clients (https://fetch.spec.whatwg.org/#http-cors-protocol): any origin, because
 * what authorises a request is its key and never a cookie.
 */
export const EXPOSED_HEADERS = [
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
  "ratelimit",
  "ratelimit-policy",
  "www-authenticate",
  "inference-header-content-length",
  "server-timing",
  "x-request-id",
  "retry-after",
] as const;

const EXPOSED = EXPOSED_HEADERS.join(", ");

/** Seconds a browser may keep the answer to a preflight: the most that Chromium honours. */
const PREFLIGHT_SECONDS = 7200;

export function allowAnyOrigin(headers: Headers): void {
  headers.set("access-control-allow-origin", "*");
  headers.set("access-control-expose-headers", EXPOSED);
  headers.set("timing-allow-origin", "*");
}

/** The answer to `OPTIONS`, preflight or not. */
export function optionsResponse(request: Request, methods: readonly string[]): Response {
  const allow = methods.join(", ");
  const headers = new Headers({ allow });
  if (request.headers.has("access-control-request-method")) {
    headers.set("access-control-allow-methods", allow);
    const asked = request.headers.get("access-control-request-headers");
    if (asked !== null) headers.set("access-control-allow-headers", asked);
    headers.set("access-control-max-age", String(PREFLIGHT_SECONDS));
    headers.set("vary", "access-control-request-headers");
  }
  return new Response(null, { status: 204, headers });
}
