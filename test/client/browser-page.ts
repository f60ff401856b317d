import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";

import { build } from "esbuild";

import { CLIENT_FOLDER, writeClient } from "../../src/cli/build-client.ts";

const PAGE = `<!doctype html>
<title>The client's suite</title>
<script type="module">
  import * as sdk from "/client.js";
  import { CLIENT_CASES } from "/suite.js";
  globalThis.runCase = async (title, options) => {
    const { run } = CLIENT_CASES.find((one) => one.title === title);
    await run({ sdk, options });
    return "done";
  };
</script>`;

/** Serves the built client and the suite to a browser. */
export async function serveSuite() {
  await writeClient();
  const files: Record<string, [type: string, content: string | Uint8Array]> = {
    "/": ["text/html", PAGE],
    "/client.js": ["text/javascript", await readFile(path.join(CLIENT_FOLDER, "index.js"))],
    "/suite.js": ["text/javascript", await bundledSuite()],
  };
  const server = createServer(({ url = "" }, response) => {
    const [type, content] = files[url] ?? ["text/plain", ""];
    response.writeHead(url in files ? 200 : 404, { "content-type": type }).end(content);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, stop: () => server.close() };
}

async function bundledSuite(): Promise<Uint8Array> {
  const { outputFiles } = await build({
    entryPoints: [path.join(import.meta.dirname, "suite.ts")],
    bundle: true,
    format: "esm",
    target: "es2022",
    write: false,
    logLevel: "error",
  });
  return outputFiles[0]?.contents ?? new Uint8Array();
}
