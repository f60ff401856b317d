/** What a page of documentation says before the operations. */
export interface DocsPage {
  readonly title: string;
  /** A sentence or two each. */
  readonly introduction: readonly string[];
}

/** Where the files of the page are: below a version, so that they never change. */
export const docsFilePath = (version: string, name: string): string => `/docs/${version}/${name}`;

/** Scripts, styles and requests of this host only, and no script or style in the page itself. */
export const DOCS_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The HTML of a page that shows `/openapi.json` of its own host. */
export function docsHtml({ title, introduction }: DocsPage, version: string): string {
  const file = (name: string): string => docsFilePath(version, name);
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${escaped(title)}</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="${file("swagger-ui.css")}">
    <link rel="stylesheet" href="${file("page.css")}">
    <script src="${file("swagger-ui.js")}" defer></script>
    <script src="${file("page.js")}" defer></script>
  </head>
  <body>
    <header>
      <h1>${escaped(title)}</h1>
${introduction.map((text) => `      <p>${escaped(text)}</p>`).join("\n")}
      <p>For programs: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>
    </header>
    <main id="operations"><noscript>This page needs JavaScript; openapi.json does not.</noscript></main>
  </body>
</html>
`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
