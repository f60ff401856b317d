/**
 * Writes samples/boxes.svg: what the edge's runtime reads on samples/skewed.jpg, and where.
 *
 *     node --experimental-strip-types models/ocr/make-picture.ts
 */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";

import { manifestOf } from "../../test/support/manifests.ts";
import { TOOLS } from "../../test/support/tools.ts";
import { externalize } from "../../src/publish/onnx/externalize.ts";
import { runtimeModule } from "../../src/publish/runtime.ts";
import { readModelSource } from "../../src/publish/source.ts";
import { createSession } from "../../src/runtime/create-session.ts";
import { startOrt } from "../../src/runtime/ort-module.ts";
import type { OrtSession } from "../../src/runtime/session.ts";
import { runHere } from "../../src/tasks/drive.ts";
import { taskFor } from "../../src/tasks/index.ts";
import type { RecognisedLine } from "../../src/tasks/text-recognition.ts";
import { build } from "./build.ts";

const [PAGE, WIDTH, HEIGHT] = ["skewed.jpg", 860, 520];
const SAMPLES = path.join(import.meta.dirname, "samples");

const { members, assets } = await build();
const sessions = new Map<string, OrtSession>();
for (const [name, { onnx }] of Object.entries(members)) {
  const { graph, weights: data } = externalize(onnx, "weights.bin");
  const source = { graph, ...(data && { weights: { name: "weights.bin", data } }) };
  sessions.set(name, createSession(await startOrt(await runtimeModule()), source));
}
const { task } = await readModelSource(import.meta.dirname);
const ocr = taskFor(manifestOf({ task }));
if (ocr === undefined) throw new Error("model.json is of another task.");
const bytes = Uint8Array.from(await readFile(path.join(SAMPLES, PAGE)));
const input = ocr.decode({
  kind: "raw",
  mediaType: "image/jpeg",
  mediaParameters: {},
  parameters: {},
  bytes,
});
const { output } = runHere(ocr.run(ocr.prepare(assets, TOOLS), input), {
  run: () => {
    throw new Error("An ensemble has no one graph.");
  },
  member(name) {
    const session = sessions.get(name);
    if (session === undefined) throw new Error(`There is no "${name}".`);
    return session;
  },
});
const [{ lines }] = output as [{ lines: readonly RecognisedLine[] }];

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const drawn = lines.map(({ text, score, box }) => {
  const [[x, y] = [0, 0], [x2, y2] = [1, 0]] = box;
  const angle = (Math.atan2(y2 - y, x2 - x) * 180) / Math.PI;
  return [
    `<polygon points="${box.map(String).join(" ")}" fill="#c026d322" stroke="#c026d3"/>`,
    `<text x="${x}" y="${y - 3}" transform="rotate(${angle.toFixed(2)} ${x} ${y})" fill="#c026d3">${escaped(text)} (${score.toFixed(2)})</text>`,
  ].join("\n");
});
await writeFile(
  path.join(SAMPLES, "boxes.svg"),
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="12">
<title>What PP-OCR reads at the edge on a page that lies askew, and where</title>
<image href="data:image/jpeg;base64,${Buffer.from(bytes).toString("base64")}" width="${WIDTH}" height="${HEIGHT}"/>
${drawn.join("\n")}
</svg>
`,
);
