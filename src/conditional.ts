/** A strong ETag (RFC 9110 §8.8.3) of these very bytes. */
export async function contentEtag(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return `"${new Uint8Array(digest, 0, 12).toHex()}"`;
}

/** Gives the answer, or says that the caller has it already. */
export function unlessKnown(
  request: Request,
  headers: Readonly<Record<string, string>> & { readonly etag: string },
  answer: () => Response,
): Response {
  const known = (request.headers.get("if-none-match") ?? "").split(",").map(opaqueTag);
  if (!known.includes(opaqueTag(headers.etag))) return answer();
  const { "content-type": _, ...rest } = headers;
  return new Response(null, { status: 304, headers: rest });
}

/** Tags are compared weakly (RFC 9110 §13.1.2). */
const opaqueTag = (etag: string): string => etag.trim().replace(/^W\//, "");
