import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { gunzipSync } from "node:zlib";

import { beforeAll, describe, expect, it } from "vitest";

import { DOCS_FOLDER, prepareDocs } from "../../src/publish/docs.ts";
import { installedVersion, packageFolder } from "../../src/publish/source.ts";

const unpacked = async (name: string): Promise<string> =>
  gunzipSync(await readFile(path.join(DOCS_FOLDER, `${name}.gz.bin`))).toString();

describe("what the pages /docs are made of", () => {
  beforeAll(prepareDocs);

  it("is the installed swagger-ui-dist, unchanged, and its licences", async () => {
    const installed = packageFolder("swagger-ui-dist");
    for (const [name, source] of [
      ["swagger-ui.js", "swagger-ui-bundle.js"],
      ["swagger-ui.css", "swagger-ui.css"],
    ] as const) {
      expect(await unpacked(name)).toBe(await readFile(path.join(installed, source), "utf8"));
    }
    const licences = await unpacked("swagger-ui-bundle.js.LICENSE.txt");
    for (const name of ["LICENSE", "NOTICE"]) {
      expect(licences).toContain(await readFile(path.join(installed, name), "utf8"));
    }
  });

  it("has a version of its own, by what is in it", async () => {
    const about = JSON.parse(await readFile(path.join(DOCS_FOLDER, "docs.json"), "utf8")) as object;
    const installed = (await installedVersion("swagger-ui-dist")).replaceAll(".", "\\.");
    expect(about).toEqual({ version: expect.stringMatching(`^${installed}-[0-9a-f]{12}$`) });
  });

  it("asks nothing of another host", async () => {
    expect(await unpacked("page.js")).toContain("validatorUrl: null");
    for (const name of ["page.js", "page.css"]) expect(await unpacked(name)).not.toMatch(/https?:/);
    expect((await readdir(DOCS_FOLDER)).filter((name) => name.endsWith(".bin"))).toHaveLength(5);
  });
});
