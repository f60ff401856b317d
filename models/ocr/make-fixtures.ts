import { readFile } from "node:fs/promises";
import path from "node:path";

import { ReferenceSession } from "../../src/publish/onnx/reference-session.ts";
import { compile } from "../../src/publish/runtime.ts";
import { type EnsembleFixtures, packageFolder, toFixture } from "../../src/publish/source.ts";
import type { Tensor } from "../../src/runtime/tensor.ts";
import { decodeImage, readImageHeader, type RgbaImage } from "../../src/tasks/image/index.ts";
import { type Rectangle, turned } from "../../src/tasks/text-recognition/geometry.ts";
import { cutOut, LINE_HEIGHT, stacked } from "../../src/tasks/text-recognition/line.ts";
import { build } from "./build.ts";

const SAMPLE = path.join(import.meta.dirname, "samples/letter.jpg");

/** "Dear Sir," on the sample, and what is around it. */
const WORDS: Rectangle = {
  centre: { x: 87, y: 101 },
  along: { x: 1, y: 0 },
  down: { x: 0, y: 1 },
  width: 104,
  height: 34,
};
const AROUND = { left: 32, top: 85, width: 128, height: 32 };

const CLASSIFIER_WIDTH = 192;

/** onnxruntime-node on the authors' graphs, which take pixels as they come from a decoder. */
export async function makeFixtures(): Promise<EnsembleFixtures> {
  const page = await readPage();
  const line = cutOut(page, WORDS);
  const over = cutOut(page, turned(WORDS, "over"));
  const { width } = line;
  const inputs: Record<string, [string, Tensor]> = {
    detector: ["a line", uint8([1, AROUND.height, AROUND.width, 4], part(page))],
    classifier: [
      "a line on its head",
      uint8([1, LINE_HEIGHT, CLASSIFIER_WIDTH, 4], stacked([over], CLASSIFIER_WIDTH)),
    ],
    recogniser: ["Dear Sir,", uint8([1, LINE_HEIGHT, width, 4], line.data)],
  };
  const members: EnsembleFixtures["members"] = {};
  for (const [name, { onnx }] of Object.entries((await build()).members)) {
    const [title, pixels] = inputs[name] ?? ["", uint8([0], new Uint8Array())];
    const session = await ReferenceSession.create(onnx);
    const outputs = Object.entries(await session.run({ pixels }));
    await session.release();
    members[name] = [
      {
        name: title,
        inputs: { pixels: toFixture(pixels) },
        expected: Object.fromEntries(outputs.map(([key, tensor]) => [key, toFixture(tensor)])),
        tolerance: 1e-3,
      },
    ];
  }
  return { source: "onnxruntime-node 1.30.0 on the authors' ONNX files.", members };
}

async function readPage(): Promise<RgbaImage> {
  const bytes = Uint8Array.from(await readFile(SAMPLE));
  const decoder = path.join(packageFolder("@jsquash/jpeg"), "codec/dec/mozjpeg_dec.wasm");
  const jpeg = compile(Uint8Array.from(await readFile(decoder)));
  const header = readImageHeader(bytes, "letter.jpg");
  return decodeImage({ bytes, header, field: "letter.jpg" }, { jpeg, png: jpeg, webp: jpeg });
}

function part({ width, data }: RgbaImage): Uint8Array {
  const rows = Array.from({ length: AROUND.height }, (_, row) => {
    const from = ((AROUND.top + row) * width + AROUND.left) * 4;
    return data.subarray(from, from + AROUND.width * 4);
  });
  return Uint8Array.from(Buffer.concat(rows));
}

function uint8(shape: readonly number[], data: Uint8Array): Tensor {
  return { datatype: "UINT8", shape, data: Uint8Array.from(data) };
}
