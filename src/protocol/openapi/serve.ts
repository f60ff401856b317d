import { contentEtag, unlessKnown } from "../../conditional.ts";

const SECONDS = 300;

/** Answers with a document, which the first who asks has made. */
export function documentOnce(make: () => object): (request: Request) => Promise<Response> {
  let made: Promise<{ readonly text: string; readonly etag: string }> | undefined;
  const write = async () => {
    const text = JSON.stringify(make());
    return { text, etag: await contentEtag(text) };
  };
  return async (request) => {
    made ??= write();
    const { text, etag } = await made;
    const headers = {
      "content-type": "application/json",
      "cache-control": `public, max-age=${SECONDS}`,
      etag,
    };
    return unlessKnown(request, headers, () => new Response(text, { headers }));
  };
}
