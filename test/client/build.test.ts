import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { CLIENT_FOLDER, CLIENT_LIMIT_BYTES, writeClient } from "../../src/cli/build-client.ts";
import { runQuietly } from "../../src/cli/processes.ts";
import { GENERATED, ROOT } from "../../src/publish/workspace.ts";

const run = promisify(execFile);

/** The machine's, not the repository's: as whoever installs the package has it. */
const PLAIN = {
  ...process.env,
  PATH: (process.env["PATH"] ?? "")
    .split(path.delimiter)
    .filter((one) => one !== path.join(ROOT, "node_modules/.bin"))
    .join(path.delimiter),
};

let bytes: number;
let folder: string;
beforeAll(async () => {
  bytes = await writeClient();
  const parent = path.join(GENERATED, "test");
  await mkdir(parent, { recursive: true });
  folder = await mkdtemp(path.join(parent, "client-package-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What a program in this folder sees of nearside/client. */
async function exportsIn(cwd: string, env = process.env): Promise<unknown> {
  const program = `import * as client from "nearside/client"; console.log(JSON.stringify(Object.keys(client)))`;
  const { stdout } = await run("node", ["--input-type=module", "--eval", program], { cwd, env });
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
});

describe("the packed client", () => {
  let packed: { readonly filename: string; readonly files: readonly { readonly path: string }[] };
  beforeAll(async () => {
    const words = ["pack", CLIENT_FOLDER, "--ignore-scripts", "--json"];
    const { stdout } = await run("npm", [...words, "--pack-destination", folder], { cwd: ROOT });
    [packed] = JSON.parse(stdout) as [typeof packed];
    await writeFile(path.join(folder, "package.json"), `{ "private": true, "type": "module" }`);
    const install = ["install", "--offline", "--no-audit", "--no-fund", `./${packed.filename}`];
    await run("npm", install, { cwd: folder, env: PLAIN });
  });

  it("is a module, its types, and what a package needs", () => {
    const files = packed.files.map((file) => file.path);
    expect(files.filter((file) => !file.endsWith(".d.ts")).toSorted()).toEqual([
      "LICENSE",
      "README.md",
      "index.js",
      "package.json",
    ]);
    expect(files).toContain("index.d.ts");
  });

  it("is installed alone, with nothing to depend on and nothing to run", async () => {
    const modules = await readdir(path.join(folder, "node_modules"));
    expect(modules.filter((name) => !name.startsWith("."))).toEqual(["nearside"]);
    const installed = path.join(folder, "node_modules/nearside/package.json");
    const manifest = JSON.parse(await readFile(installed, "utf8")) as Record<string, unknown>;
    const { version, license } = JSON.parse(
      await readFile(path.join(ROOT, "package.json"), "utf8"),
    ) as Record<string, unknown>;
    expect(manifest).toMatchObject({ name: "nearside", version, license, sideEffects: false });
    for (const field of ["dependencies", "optionalDependencies", "bin", "scripts", "private"]) {
      expect(manifest).not.toHaveProperty(field);
    }
  });

  it("is nearside/client for the machine's own Node", async () => {
    expect(await exportsIn(folder, PLAIN)).toEqual(EXPORTS);
  });

  it("brings its types, for a compiler that checks them, too", async () => {
    const program = `import { Nearside, type Match } from "nearside/client";
      const nearside = new Nearside({ baseUrl: "https://edge.example.com" });
      export const vector: Float32Array = await nearside.embed("minilm", "a text");
      export const matches: Match[] = await nearside.search("minilm", "a text", { corpus: "docs" });
      // @ts-expect-error: no text
      await nearside.embed("minilm", 1);`;
    await writeFile(path.join(folder, "program.ts"), program);
    const compilerOptions = {
      strict: true,
      noEmit: true,
      target: "es2023",
      lib: ["es2023", "dom", "dom.iterable", "dom.asynciterable"],
      module: "nodenext",
      types: [],
    };
    const config = JSON.stringify({ compilerOptions, include: ["program.ts"] });
    await writeFile(path.join(folder, "tsconfig.json"), config);
    await expect(runQuietly("tsc", ["-p", folder])).resolves.toBeUndefined();
  });
});

it("is not what the repository itself would be published as", async () => {
  const root = JSON.parse(await readFile(path.join(ROOT, "package.json"), "utf8")) as object;
  expect(root).toMatchObject({ private: true });
});
