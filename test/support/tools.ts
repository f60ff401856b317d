import { readFileSync } from "node:fs";
import path from "node:path";

import { compile } from "../../src/publish/runtime.ts";
import { ROOT } from "../../src/publish/workspace.ts";
import type { TaskTools } from "../../src/tasks/tools.ts";

/** The decoders that the edge Worker brings, compiled by Node. */
export const TOOLS: TaskTools = {
  codecs: {
    jpeg: compiled("@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm"),
    png: compiled("@jsquash/png/codec/pkg/squoosh_png_bg.wasm"),
    webp: compiled("@jsquash/webp/codec/dec/webp_dec.wasm"),
  },
};

function compiled(file: string): WebAssembly.Module {
  return compile(Uint8Array.from(readFileSync(path.join(ROOT, "node_modules", file))));
}
