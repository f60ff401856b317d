import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { CLIENT_FOLDER, CLIENT_LIMIT_BYTES, writeClient } from "../../src/cli/build-client.ts";
import { ROOT } from "../../src/publish/workspace.ts";

const run = promisify(execFile);

let bytes: number;
let folder: string;
beforeAll(async () => {
  bytes = await writeClient();
  folder = await mkdtemp(path.join(tmpdir(), "nearside-client-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What a program in this folder sees of nearside/client. */
async function exportsIn(cwd: string): Promise<unknown> {
  const program = `import * as client from "nearside/client"; console.log(JSON.stringify(Object.keys(client)))`;
  const { stdout } = await run("node", ["--input-type=module", "--eval", program], { cwd });
  return JSON.parse(stdout);
}

const EXPORTS = ["Nearside", "NearsideError", "verifyReceipt"];

describe("the built client", () => {
  it("has less than 6 KB, gzipped", () => {
    expect(CLIENT_LIMIT_BYTES).toBeLessThanOrEqual(6_000);
    expect(bytes).toBeLessThan(CLIENT_LIMIT_BYTES);
  });

  it("depends on nothing", async () => {
    const script = await readFile(path.join(CLIENT_FOLDER, "index.js"), "utf8");
    expect(script).not.toMatch(/\bimport\b|\brequire\b|\bprocess\b|\bBuffer\b|node:/);
  });

  it("leaves out receipts where nobody verifies any", async () => {
    const { outputFiles } = await build({
      stdin: { contents: `export { Nearside } from "./index.js"`, resolveDir: CLIENT_FOLDER },
      bundle: true,
      minify: true,
      format: "esm",
      write: false,
    });
    expect(outputFiles[0]?.text).not.toContain("Ed25519");
    expect(outputFiles[0]?.text).toContain("idempotency-key");
  });

  it("is nearside/client inside this repository", async () => {
    expect(await exportsIn(ROOT)).toEqual(EXPORTS);
  });

  it("is nearside/client of a packed tarball", async () => {
    const words = ["pack", "--ignore-scripts", "--json", "--pack-destination", folder];
    const { stdout } = await run("npm", words, { cwd: ROOT });
    const [packed] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
    const files = packed?.files.map((file) => file.path) ?? [];
    expect(files).toEqual(
      expect.arrayContaining(["dist/client/index.js", "dist/client/index.d.ts", "package.json"]),
    );
    const installed = path.join(folder, "node_modules/nearside");
    await mkdir(installed, { recursive: true });
    const tarball = path.join(folder, packed?.filename ?? "");
    await run("tar", ["-xzf", tarball, "-C", installed, "--strip-components=1"]);
    expect(await exportsIn(folder)).toEqual(EXPORTS);
  });
});
