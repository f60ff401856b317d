import {
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  writeFile,
} from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";

import { build } from "esbuild";

import { ROOT } from "../publish/workspace.ts";
import { runQuietly } from "./processes.ts";

const SOURCE = path.join(ROOT, "src/client");

/** A package of its own, without dependencies; `nearside/client` is in it, here and for those who install it. */
export const CLIENT_FOLDER = path.join(ROOT, "dist/client");

/** What a page may pay for the client. */
export const CLIENT_LIMIT_BYTES = 6_000;

/** `npm run build:client`: a package of one minified module, and its types. */
export async function buildClient(): Promise<number> {
  const bytes = await writeClient();
  console.log(`dist/client/index.js: ${bytes} bytes gzipped; ${CLIENT_LIMIT_BYTES} is the limit.`);
  console.log("It is a package: `npm pack ./dist/client` makes a tarball of it.");
  return bytes > CLIENT_LIMIT_BYTES ? 1 : 0;
}

/**
 * Each file is renamed into place, so that whoever builds at the same time never reads half of one.
 *
 * @returns the module's size, gzipped
 */
export async function writeClient(): Promise<number> {
  await mkdir(CLIENT_FOLDER, { recursive: true });
  const fresh = await mkdtemp(`${CLIENT_FOLDER}-`);
  try {
    await runQuietly("tsc", ["-p", SOURCE, "--outDir", fresh]);
    const script = path.join(fresh, "index.js");
    await build({
      entryPoints: [path.join(SOURCE, "index.ts")],
      outfile: script,
      bundle: true,
      minify: true,
      format: "esm",
      target: "es2022",
      logLevel: "error",
    });
    const { length } = await promisify(gzip)(await readFile(script), { level: 9 });
    await writeFile(path.join(fresh, "package.json"), await packageJson());
    await copyFile(path.join(SOURCE, "README.md"), path.join(fresh, "README.md"));
    await copyFile(path.join(ROOT, "LICENSE"), path.join(fresh, "LICENSE"));
    for (const file of await readdir(fresh)) {
      if (file.endsWith(".d.ts")) await nameScripts(path.join(fresh, file));
      await rename(path.join(fresh, file), path.join(CLIENT_FOLDER, file));
    }
    return length;
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** The repository's own is private: it would bring its users the models' whole toolchain. */
async function packageJson(): Promise<string> {
  const { name, version, license } = JSON.parse(
    await readFile(path.join(ROOT, "package.json"), "utf8"),
  ) as Readonly<Record<string, string>>;
  const description = "The client of Nearside's edge, for browsers, Node and Workers.";
  const exports = { "./client": { types: "./index.d.ts", default: "./index.js" } };
  const engines = { node: ">=20.3" };
  const manifest = { name, version, description, license, type: "module", exports, engines };
  return `${JSON.stringify({ ...manifest, sideEffects: false }, undefined, 2)}\n`;
}

/** Declarations name each other as sources do, which a consumer's compiler need not allow. */
async function nameScripts(file: string): Promise<void> {
  const declarations = await readFile(file, "utf8");
  await writeFile(file, declarations.replaceAll(/from "(\.\/\w+)\.ts"/g, 'from "$1.js"'));
}
