import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { Manifest, TensorSpec } from "../../../src/catalog/manifest.ts";
import type { PublishTarget } from "../../../src/publish/bucket.ts";
import { MemoryBucket, MemoryNamespace } from "../../support/memory-bucket.ts";
import {
  putCatalog,
  putManifest,
  say,
  sayJson,
  temporaryFolder,
  type TemporaryFolder,
} from "../support.ts";

const classifier = (
  version: number,
  labels: string[],
  outputs: TensorSpec[],
): Partial<Manifest> => ({
  name: "lang-2",
  version,
  task: { type: "byte-classification", maxBytes: 9, minBytes: 1, labels },
  inputs: [{ name: "bytes", datatype: "INT32", shape: [1, -1] }],
  outputs,
});

/** Two versions of a classifier, a model of tensors, and a version that no catalog lists. */
async function publishSome({ bucket }: PublishTarget): Promise<void> {
  const scores: TensorSpec = { name: "pro.b", datatype: "FP32", shape: [1, 2] };
  const first = await putManifest(bucket, classifier(1, ["py", 'c"++'], [scores]));
  const second = await putManifest(bucket, classifier(2, ["py", "rs"], []));
  const echo = await putManifest(bucket, { name: "echo" });
  await putManifest(bucket, { name: "gone" });
  await putCatalog(bucket, [first, second, echo], { "lang-2": { canary: 2 } });
}

const emptyTarget = (): PublishTarget => ({
  bucket: new MemoryBucket(),
  namespace: new MemoryNamespace(),
});

const DECLARATION = `// Written by \`nearside types\`, of the catalog as it was then.

/** For \`new Nearside<Models>(…)\` of nearside/client. */
export interface Models {
  readonly echo: {
    readonly task: "tensor";
    readonly versions: 1 | "stable";
    readonly labels: never;
    readonly inputs: {};
    readonly outputs: {};
  };
  readonly "lang-2": {
    readonly task: "byte-classification";
    readonly versions: 1 | 2 | "stable" | "canary";
    readonly labels: "py" | "c\\"++" | "rs";
    readonly inputs: { readonly bytes: "INT32" };
    readonly outputs: { readonly "pro.b": "FP32" };
  };
}
`;

let temporary: TemporaryFolder;
let target: PublishTarget;
beforeAll(async () => {
  temporary = await temporaryFolder();
  target = emptyTarget();
  await publishSome(target);
});
afterAll(() => temporary.remove());

describe("nearside types", () => {
  it("writes what the catalog serves: tensors of stable, labels of every version", async () => {
    const { out, exitCode } = await say(target, "types");
    expect([out, exitCode]).toEqual([DECLARATION, 0]);
  });

  it("writes a file, and says so", async () => {
    const file = path.join(temporary.folder, "models.d.ts");
    expect((await say(target, "types", "-o", file)).out).toBe(
      `${file} has the types of 2 models.\n`,
    );
    expect(await readFile(file, "utf8")).toBe(DECLARATION);
    expect((await sayJson(target, "types", "--out", file)).value).toMatchObject({
      file,
      models: [{ name: "echo" }, { name: "lang-2", labels: ["py", 'c"++', "rs"] }],
    });
  });

  it("says why a file can't be written", async () => {
    const file = path.join(temporary.folder, "nowhere/models.d.ts");
    const { err, exitCode } = await say(target, "types", "-o", file);
    expect([err, exitCode]).toEqual([expect.stringContaining("can't be written: ENOENT"), 1]);
  });

  it("says how to publish when there is nothing", async () => {
    const { err, exitCode } = await say(emptyTarget(), "types");
    expect([err, exitCode]).toEqual([expect.stringContaining("`npm start` publishes"), 1]);
  });
});

describe("nearside types --url", () => {
  /** An edge that answers this to everything. */
  async function edgeThatSays(status: number, body: string) {
    const server = createServer((_, response) => response.writeHead(status).end(body));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const said = await say(target, "types", "--url", `http://127.0.0.1:${port}`);
    server.close();
    return said;
  }

  it.each([
    [401, '{"code":"key_missing","detail":"Send a key."}', "refuses: Send a key. NEARSIDE_KEY"],
    [
      404,
      '{"code":"route_not_found","detail":"There is nothing."}',
      "refuses: There is nothing.\n",
    ],
    [200, "<html>", "does not answer as an edge does"],
    [200, '[{"name":"x"}]', "does not answer as an edge does"],
  ])("says what is wrong when the answer is %i %s", async (status, body, words) => {
    const { err, exitCode, opened } = await edgeThatSays(status, body);
    expect([err, exitCode, opened]).toEqual([expect.stringContaining(words), 1, 0]);
  });
});
