/** Visible ASCII without separators: safe in a header and in a log line. */
const REQUEST_ID = /^[\w.:+/=-]{1,128}$/;

/** The caller's `x-request-id` when it is usable, else a new one. */
export function requestId(request: Request): string {
  const given = request.headers.get("x-request-id");
  return given !== null && REQUEST_ID.test(given) ? given : crypto.randomUUID();
}
