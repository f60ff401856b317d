import { mkdir, rename, writeFile } from "node:fs/promises";
import path from "node:path";

import { buildModel } from "../../src/publish/build.ts";
import { signature } from "../../src/publish/onnx/signature.ts";
import { GENERATED, ROOT } from "../../src/publish/workspace.ts";
import { assetFile, modelFile, SHIPPED, type Shipped, sourceFile } from "./shipped-names.ts";

const FOLDER = path.join(GENERATED, "test/snapshots");

/** Models that ship, for tests inside workerd that publish them there. */
export async function storeShipped(): Promise<void> {
  await mkdir(FOLDER, { recursive: true });
  for (const name of SHIPPED) {
    const { onnx, assets = {}, source } = await buildModel(path.join(ROOT, "models", name));
    const { task, limits } = source;
    const shipped: Shipped = { task, limits, assets: Object.keys(assets), ...signature(onnx) };
    await write(modelFile(name), onnx);
    for (const [asset, content] of Object.entries(assets)) {
      await write(assetFile(name, asset), content);
    }
    await write(sourceFile(name), JSON.stringify(shipped));
  }
}

/** Several runs of the tests may write at once. */
async function write(name: string, content: Uint8Array | string): Promise<void> {
  const partial = path.join(FOLDER, `${name}.${process.pid}`);
  await writeFile(partial, content);
  await rename(partial, path.join(FOLDER, name));
}
