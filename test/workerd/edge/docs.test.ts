import { describe, expect, it } from "vitest";

import { edgeOf } from "../../support/edge.ts";

const edge = edgeOf();
const page = async (): Promise<string> => (await edge.send("/docs")).text();
const files = async (): Promise<string[]> =>
  [...(await page()).matchAll(/(?:src|href)="(\/docs\/[^"]+)"/g)].map(([, path = ""]) => path);

const gzip = { headers: { "accept-encoding": "br, gzip" } };

describe("GET /docs", () => {
  it("is a page that names itself, and nothing of another host", async () => {
    const html = await page();
    expect(html).toContain("<title>Nearside: the edge</title>");
    expect(html).toContain('href="/openapi.json"');
    expect(html).not.toMatch(/(?:src|href)="(?!\/|data:)/);
    expect(html).not.toMatch(/<script(?![^>]* src=)|<style| style=| on\w+=/);
  });

  it("lets the browser run its own scripts only", async () => {
    const response = await edge.send("/docs");
    const policy = response.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  });

  it("may be kept for a while, and says whether it is the same", async () => {
    const { headers } = await edge.send("/docs");
    expect(headers.get("cache-control")).toBe("public, max-age=300");
    const known = { "if-none-match": `"other", W/${headers.get("etag")}` };
    const again = await edge.send("/docs", { headers: known });
    expect([again.status, again.headers.get("content-type")]).toEqual([304, null]);
    const other = await edge.send("/docs", { headers: { "if-none-match": '"other"' } });
    expect(other.status).toBe(200);
  });
});

describe("the files of /docs", () => {
  it("are there, and are kept for good", async () => {
    const paths = await files();
    expect(paths.map((path) => path.split("/").at(-1))).toEqual([
      "swagger-ui.css",
      "page.css",
      "swagger-ui.js",
      "page.js",
    ]);
    for (const path of paths) {
      const response = await edge.send(path, gzip);
      expect(response.status).toBe(200);
      expect(response.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
      expect(response.headers.get("vary")).toBe("accept-encoding");
      expect(response.headers.get("content-type")).toMatch(
        /^text\/(?:css|javascript); charset=utf-8$/,
      );
    }
  });

  it("come as they were compressed to whoever takes that, and plain to others", async () => {
    for (const path of await files()) {
      const packed = await edge.send(path, gzip);
      expect(packed.headers.get("content-encoding")).toBe("gzip");
      const plain = await edge.send(path, { headers: { "accept-encoding": "gzip;q=0, br" } });
      expect(plain.headers.get("content-encoding")).toBeNull();
      const unpacked = (await packed.bytes()).length;
      expect((await plain.bytes()).length).toBeGreaterThan(unpacked);
    }
  });

  it("are not sent to whoever has them", async () => {
    const [path = ""] = await files();
    const etag = (await edge.send(path, gzip)).headers.get("etag") ?? "";
    expect((await edge.send(path, { headers: { "if-none-match": etag } })).status).toBe(304);
  });

  it("bring their licences", async () => {
    const [path = ""] = await files();
    const licences = path.replace("swagger-ui.css", "swagger-ui-bundle.js.LICENSE.txt");
    expect(await (await edge.send(licences)).text()).toContain("Apache License");
  });

  it.each(["/docs/0/page.js", "/docs/0/", "/docs/%2e%2e/page.js"])(
    "are not at %s",
    async (path) => {
      expect((await edge.send(path)).status).toBe(404);
    },
  );

  it("are not at a name that every object has", async () => {
    const [path = ""] = await files();
    expect((await edge.send(path.replace("swagger-ui.css", "constructor"))).status).toBe(404);
  });
});
