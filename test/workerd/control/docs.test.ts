import { describe, expect, it } from "vitest";

import { controlOf } from "../../support/control.ts";

const { send } = controlOf();

describe("the control plane's documentation", () => {
  it("is a page for everybody, with files that are kept for good", async () => {
    const page = await send("/docs");
    expect(page.headers.get("cache-control")).toBe("public, max-age=300");
    expect(page.headers.get("content-security-policy")).toContain("script-src 'self'");
    const html = await page.text();
    expect(html).toContain("<title>Nearside: the control plane</title>");
    for (const [, path = ""] of html.matchAll(/(?:src|href)="(\/docs\/[^"]+)"/g)) {
      const file = await send(path, { headers: { "accept-encoding": "gzip" } });
      expect(file.headers.get("cache-control")).toContain("immutable");
      expect(file.headers.get("content-encoding")).toBe("gzip");
    }
  });

  it("is made once, and may be kept for a while", async () => {
    const first = await send("/openapi.json");
    expect(first.headers.get("cache-control")).toBe("public, max-age=300");
    const etag = first.headers.get("etag") ?? "";
    const again = await send("/openapi.json", { headers: { "if-none-match": etag } });
    expect(again.status).toBe(304);
  });

  it("does not make other answers last", async () => {
    expect((await send("/")).headers.get("cache-control")).toBe("no-store");
  });
});
