import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { picturePixels } from "../../src/publish/picture.ts";
import { readModelSource } from "../../src/publish/source.ts";
import { drawn, jpegOf, webpOf } from "../../test/support/pictures.ts";
import { PICTURES, SIZE } from "./make-pictures.ts";

/*
 * Writes fixtures.json and samples/ with the authors' own runtime. Not needed to build, start or test
 * Nearside; it says where the expected values come from:
 *
 *     mkdir /tmp/nsfwjs && cd /tmp/nsfwjs && npm install @tensorflow/tfjs@4.22.0 nsfwjs@4.3.0
 *     cd - && node models/nsfw/make-expected.ts /tmp/nsfwjs
 */
interface Tensorflow {
  tensor3d(values: Int32Array, shape: readonly number[], datatype: "int32"): unknown;
  enableProdMode(): void;
}
interface Nsfwjs {
  load(
    name: "MobileNetV2",
  ): Promise<{ classify(image: unknown): Promise<{ className: string; probability: number }[]> }>;
}

const [, , folder = ""] = process.argv;
const module = async (file: string): Promise<unknown> =>
  import(pathToFileURL(path.join(path.resolve(folder), "node_modules", file)).href);
const { default: tf } = (await module("@tensorflow/tfjs/dist/tf.node.js")) as {
  default: Tensorflow;
};
const { default: nsfwjs } = (await module("nsfwjs/dist/cjs/index.js")) as { default: Nsfwjs };

tf.enableProdMode();
const authors = await nsfwjs.load("MobileNetV2");
const { task } = await readModelSource(import.meta.dirname);
const labels = task.type === "image-classification" ? task.labels : [];
const shape = [1, SIZE, SIZE, 3];

const cases: unknown[] = [];
for (const [name, draw] of Object.entries(PICTURES)) {
  const webp = await webpOf(drawn(SIZE, SIZE, draw), { quality: 80 });
  const picture = Buffer.from(webp).toString("base64");
  const pixels = Int32Array.from(picturePixels(picture));
  const classes = await authors.classify(tf.tensor3d(pixels, [SIZE, SIZE, 3], "int32"));
  const found = new Map(classes.map((one) => [one.className, one.probability]));
  const data = labels.map((label) => Number((found.get(label) ?? Number.NaN).toPrecision(7)));
  cases.push({
    name,
    inputs: { pixels: { datatype: "FP32", shape, picture } },
    expected: { probabilities: { datatype: "FP32", shape: [1, labels.length], data } },
    tolerance: 0.05,
  });
}
const source =
  "NSFWJS.classify of nsfwjs@4.3.0, its MobileNetV2 in @tensorflow/tfjs@4.22.0; the pictures are drawn by make-pictures.ts.";
const text = JSON.stringify({ source, cases }, undefined, 1).replaceAll(/\[[^[\]{}]*\]/g, (array) =>
  array.replaceAll(/\n\s*/g, ""),
);
await writeFile(path.join(import.meta.dirname, "fixtures.json"), `${text}\n`);

const samples = path.join(import.meta.dirname, "samples");
await mkdir(samples, { recursive: true });
const { fruit = () => [0, 0, 0] as const } = PICTURES;
const large = drawn(2 * SIZE, 2 * SIZE, (x, y) => fruit(x / 2, y / 2));
await writeFile(path.join(samples, "fruit.jpg"), await jpegOf(large, { quality: 85 }));
