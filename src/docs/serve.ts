import { contentEtag, unlessKnown } from "../conditional.ts";
import { NearsideError } from "../errors.ts";
import { preferredCoding } from "../protocol/compression.ts";
import { DOCS_POLICY, docsHtml, type DocsPage } from "./page.ts";

/** What the build makes for the page: gzip'ed, by name. */
export interface DocsFiles {
  /** Of all files together. */
  readonly version: string;
  readonly files: Readonly<Record<string, ArrayBuffer>>;
}

/** The page changes with the Worker; what it points at never does. */
const PAGE_SECONDS = 300;
const FILE_SECONDS = 31_536_000;

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  txt: "text/plain; charset=utf-8",
};

/** `GET /docs` */
export async function getDocs(
  request: Request,
  { version }: DocsFiles,
  page: DocsPage,
): Promise<Response> {
  const html = docsHtml(page, version);
  const headers = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": `public, max-age=${PAGE_SECONDS}`,
    etag: await contentEtag(html),
    "content-security-policy": DOCS_POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
  };
  return unlessKnown(request, headers, () => new Response(html, { headers }));
}

/**
 * `GET /docs/{release}/{file}`: as it was compressed at build time, for whoever takes that.
 *
 * @throws NearsideError `route_not_found`
 */
export function getDocsFile(
  request: Request,
  { version, files }: DocsFiles,
  wanted: { readonly release: string; readonly file: string },
): Response {
  const bytes = Object.hasOwn(files, wanted.file) ? files[wanted.file] : undefined;
  if (bytes === undefined || wanted.release !== version) {
    throw new NearsideError("route_not_found", "There is no such file; the page is /docs.");
  }
  const headers = {
    "content-type": MEDIA_TYPES[wanted.file.split(".").at(-1) ?? ""] ?? "application/octet-stream",
    "cache-control": `public, max-age=${FILE_SECONDS}, immutable`,
    // Weak: compressed and not it is the same file.
    etag: `W/"${version}"`,
    vary: "accept-encoding",
    "x-content-type-options": "nosniff",
  };
  return unlessKnown(request, headers, () =>
    preferredCoding(request.headers.get("accept-encoding")) === "gzip"
      ? new Response(bytes, {
          headers: { ...headers, "content-encoding": "gzip" },
          encodeBody: "manual",
        })
      : new Response(decompressed(bytes), { headers }),
  );
}

function decompressed(gzip: ArrayBuffer): ReadableStream {
  return new Blob([gzip]).stream().pipeThrough(new DecompressionStream("gzip"));
}
