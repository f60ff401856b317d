const HOST = /^(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d+)?$/i;

/**
 * The URL of a request as a server sees it, for {@link createVerifier}; empty, which is refused,
 * when it is none. Joining the two without a look would let `Host: gpu.example/v2/models/a` and the
 * target `/infer` pass for a signed `/v2/models/a/infer`, while the server acts on `/infer`.
 *
 * @example
 * receivedUrl(request.headers.host, request.url);
 */
export function receivedUrl(host: string | undefined, target: string | undefined): string {
  if (host === undefined || target === undefined) return "";
  return HOST.test(host) && target.startsWith("/") ? `http://${host}${target}` : "";
}
