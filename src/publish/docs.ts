import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { gzipSync } from "node:zlib";

import { installedVersion, packageFolder } from "./source.ts";
import { GENERATED } from "./workspace.ts";
import { writeIfOther } from "./write-if-other.ts";

/** What the pages /docs of the Workers are made of: gzip'ed files, and a version of them all. */
export const DOCS_FOLDER = path.join(GENERATED, "docs");

const PACKAGE = "swagger-ui-dist";
/** zlib's most: it is done once, and read by every visitor. */
const GZIP_LEVEL = 9;

let prepared: Promise<void> | undefined;

/** Writes what Workers import of the installed swagger-ui-dist, unless it is there already. */
export function prepareDocs(): Promise<void> {
  prepared ??= prepare();
  return prepared;
}

async function prepare(): Promise<void> {
  const swagger = packageFolder(PACKAGE);
  const ours = path.join(import.meta.dirname, "../docs/browser");
  const licences = ["LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"];
  const files = {
    "swagger-ui.js": await join(swagger, ["swagger-ui-bundle.js"]),
    "swagger-ui.css": await join(swagger, ["swagger-ui.css"]),
    // The script names the file by this name.
    "swagger-ui-bundle.js.LICENSE.txt": await join(swagger, licences),
    "page.js": await join(ours, ["page.js"]),
    "page.css": await join(ours, ["page.css"]),
  };
  const digest = createHash("sha256");
  await mkdir(DOCS_FOLDER, { recursive: true });
  for (const [name, bytes] of Object.entries(files)) {
    digest.update(`${name} ${bytes.length}\n`).update(bytes);
    // Wrangler, and whoever runs Workers for tests, takes .bin for data.
    const file = path.join(DOCS_FOLDER, `${name}.gz.bin`);
    await writeIfOther(file, gzipSync(bytes, { level: GZIP_LEVEL }));
  }
  const version = `${await installedVersion(PACKAGE)}-${digest.digest("hex").slice(0, 12)}`;
  const about = Buffer.from(`${JSON.stringify({ version })}\n`);
  await writeIfOther(path.join(DOCS_FOLDER, "docs.json"), about);
}

async function join(folder: string, names: readonly string[]): Promise<Buffer> {
  return Buffer.concat(await Promise.all(names.map((name) => readFile(path.join(folder, name)))));
}
