import { readFile } from "node:fs/promises";
import path from "node:path";

import { beforeAll, describe, expect, it } from "vitest";

import { ROOT } from "../../src/publish/workspace.ts";
import type { Tensor } from "../../src/runtime/tensor.ts";
import { runHere } from "../../src/tasks/drive.ts";
import { edgeLimits, originLimits, type TaskLimits } from "../../src/tasks/limits.ts";
import type { Feeds, TensorRunner } from "../../src/tasks/task.ts";
import { textRecognition } from "../../src/tasks/text-recognition.ts";
import {
  drawn,
  ihdr,
  jpegOf,
  pngOf,
  pngOfChunks,
  type Pixels,
  webpOf,
} from "../support/pictures.ts";
import { TOOLS } from "../support/tools.ts";
import { json, raw, refusal, taskManifest } from "./support.ts";

const MANIFEST = taskManifest(
  {
    type: "text-recognition",
    maxPixels: 100_000,
    pageSide: 320,
    tileSide: 160,
    originPageSide: 640,
    originTileSide: 640,
    maxLineWidth: 960,
    characters: "characters",
  },
  3,
);
const EDGE = edgeLimits(MANIFEST);
const ORIGIN = originLimits({
  pool: "gpu",
  limits: { maxBatch: 8, maxBodyBytes: 1_000_000 },
});

const RESOURCES = textRecognition.prepare(
  { characters: new TextEncoder().encode("H\ni\n") },
  MANIFEST,
  TOOLS,
);

interface Seen {
  readonly member: string;
  readonly shape: readonly number[];
}

/** An ensemble that sees text where pixels are dark, and reads "Hi" in every line. */
function ensemble({ over = 0, score = 0.9 } = {}) {
  const seen: Seen[] = [];
  const answers: Record<string, (pixels: Tensor) => Record<string, Tensor>> = {
    detector({ shape, data }) {
      const [, height = 0, width = 0] = shape;
      const said = Float32Array.from({ length: height * width }, (_, at) =>
        Number(data[at * 4]) < 128 ? 0.9 : 0,
      );
      return { probability: { datatype: "FP32", shape: [1, height, width], data: said } };
    },
    classifier({ shape }) {
      const [lines = 0] = shape;
      const data = Float32Array.from({ length: 2 * lines }, (_, at) => (at % 2 ? over : 1 - over));
      return { upright: { datatype: "FP32", shape: [lines, 2], data } };
    },
    recogniser({ shape }) {
      const [lines = 0] = shape;
      const steps = Array.from({ length: lines }, () => [0, 1, 2, 0]).flat();
      return {
        character: { datatype: "INT32", shape: [lines, 4], data: Int32Array.from(steps) },
        score: {
          datatype: "FP32",
          shape: [lines, 4],
          data: new Float32Array(steps.length).fill(score),
        },
      };
    },
  };
  const runner: TensorRunner = {
    run: () => {
      throw new Error("An ensemble has no one graph.");
    },
    member: (member) => ({
      run({ pixels }: Feeds) {
        if (pixels === undefined) throw new Error("There are no pixels.");
        seen.push({ member, shape: pixels.shape });
        return answers[member]?.(pixels) ?? {};
      },
    }),
  };
  return { seen, runner };
}

/** White, with a dark bar for each line. */
function page(...bars: readonly (readonly [number, number, number, number])[]): Pixels {
  return drawn(300, 200, (x, y) => {
    const isDark = bars.some(
      ([left, top, width, height]) => x >= left && x < left + width && y >= top && y < top + height,
    );
    return isDark ? [20, 20, 20] : [255, 255, 255];
  });
}

function recognise(
  bytes: Uint8Array<ArrayBuffer>,
  { runner } = ensemble(),
  parameters = {},
  limits: TaskLimits = EDGE,
) {
  const input = textRecognition.decode(
    raw(bytes, "application/octet-stream", { parameters }),
    MANIFEST,
    limits,
  );
  return runHere(textRecognition.run(RESOURCES, input, MANIFEST, limits), runner);
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

describe("text-recognition", () => {
  let png: Uint8Array<ArrayBuffer>;
  beforeAll(async () => {
    png = await pngOf(page([40, 60, 120, 12], [40, 120, 200, 12]));
  });

  it("answers the text in reading order, with lines, scores and boxes", () => {
    const { output, units } = recognise(png);
    expect(output).toEqual([
      {
        generated_text: "Hi\nHi",
        lines: [
          { text: "Hi", score: 0.9, box: expect.any(Array) },
          { text: "Hi", score: 0.9, box: expect.any(Array) },
        ],
      },
    ]);
    const [{ lines }] = output as [{ lines: { box: [number, number][] }[] }];
    const [[left, top], , [right, bottom]] = lines[0]!.box as [
      [number, number],
      unknown,
      [number, number],
    ];
    expect([left < 40, top < 60, right > 160, bottom > 72]).toEqual([true, true, true, true]);
    expect([left > 25, top > 45, right < 175, bottom < 87]).toEqual([true, true, true, true]);
    expect(units).toEqual({ items: 1, pixels: 60_000, lines: 2 });
  });

  it("turns the boxes of what stands on its head, and reads it from the other end", () => {
    const { output } = recognise(png, ensemble({ over: 0.99 }));
    const [{ lines }] = output as [{ lines: { box: [number, number][] }[] }];
    const [first, second] = lines.map(({ box }) => box[0]);
    expect(first?.[0]).toBeGreaterThan(200);
    expect(second?.[0]).toBeGreaterThan(150);
    expect(first?.[1]).toBeGreaterThan(second?.[1] ?? 0);
  });

  it("leaves out what the recogniser is less sure of than the caller wants", () => {
    const texts = (parameters: object, score: number) =>
      (recognise(png, ensemble({ score }), parameters).output as [{ generated_text: string }])[0]
        .generated_text;
    expect(texts({}, 0.4)).toBe("");
    expect(texts({ min_score: 0.3 }, 0.4)).toBe("Hi\nHi");
    expect(texts({ min_score: 0.95 }, 0.9)).toBe("");
  });

  it("finds nothing on an empty page, and runs no graph for it", async () => {
    const empty = ensemble();
    const { output } = recognise(await pngOf(page()), empty);
    expect(output).toEqual([{ generated_text: "", lines: [] }]);
    expect(empty.seen).toEqual([]);
  });

  it("reads a page in squares, and a line at a time, at the edge", () => {
    const { seen, runner } = ensemble();
    recognise(png, { seen, runner });
    const shapes = (member: string) =>
      seen.filter((run) => run.member === member).map(({ shape }) => shape.slice(0, 3));
    expect(new Set(shapes("detector").map(String))).toEqual(new Set(["1,160,160"]));
    expect(shapes("recogniser").map(([lines]) => lines)).toEqual([1, 1]);
  });

  it("reads larger squares and several lines at a time in a pool", () => {
    const { seen, runner } = ensemble();
    recognise(png, { seen, runner }, {}, ORIGIN);
    expect(seen.map(({ member, shape }) => [member, shape[0], shape[1]])).toEqual([
      ["detector", 1, 224],
      ["classifier", 4, 48],
      ["recogniser", 2, 48],
    ]);
  });

  it("refuses a page of too many lines before any is read, and a pool takes it", async () => {
    const crowded = await pngOf(
      drawn(300, 300, (x, y) =>
        x > 8 && x < 292 && y % 12 < 4 && y > 8 && y < 292 ? [0, 0, 0] : [255, 255, 255],
      ),
    );
    const { seen, runner } = ensemble();
    const attempt = () => recognise(crowded, { seen, runner });
    expect(attempt).toThrow(refusal("batch_too_large", "inputs") as Error);
    expect(attempt).toThrow(/^There are 2\d lines of text here, .* Send it in parts/);
    expect(new Set(seen.map(({ member }) => member))).toEqual(new Set(["detector"]));
    expect(recognise(crowded, ensemble(), {}, ORIGIN).units.lines).toBeGreaterThan(20);
  });

  it("counts the lines of all pictures of a request together", () => {
    const input = textRecognition.decode(json([png, png, png].map(base64)), MANIFEST, EDGE);
    const columns = 1_000;
    const run = () =>
      runHere(
        textRecognition.run(RESOURCES, input, MANIFEST, { ...EDGE, lineColumns: columns }),
        ensemble().runner,
      );
    expect(run).toThrow(refusal("batch_too_large", "inputs[1]") as Error);
  });

  it("lays what is transparent on white", async () => {
    const clear = drawn(64, 64, () => [0, 0, 0, 0]);
    expect(recognise(await pngOf(clear)).output).toEqual([{ generated_text: "", lines: [] }]);
  });

  it("takes JPEG, PNG and WebP, raw or in JSON, and several in an array", async () => {
    const bar = page([40, 60, 120, 12]);
    const pictures = [await jpegOf(bar), await pngOf(bar), await webpOf(bar)];
    for (const bytes of pictures) {
      expect(recognise(bytes).output).toMatchObject([{ generated_text: "Hi" }]);
    }
    const input = textRecognition.decode(json(pictures.map(base64)), MANIFEST, EDGE);
    expect(textRecognition.estimate(input, MANIFEST)).toEqual({ items: 3, pixels: 180_000 });
    const { output } = runHere(
      textRecognition.run(RESOURCES, input, MANIFEST, EDGE),
      ensemble().runner,
    );
    expect(output).toMatchObject(pictures.map(() => [{ generated_text: "Hi" }]));
  });

  it("places boxes on the picture as its EXIF orientation shows it", async () => {
    const phone = await readFile(path.join(ROOT, "models/ocr/samples/phone.jpg"));
    const manifest = { ...MANIFEST, task: { ...MANIFEST.task, maxPixels: 500_000, pageSide: 720 } };
    const input = textRecognition.decode(raw(Uint8Array.from(phone), "image/jpeg"), manifest, EDGE);
    expect(input.images[0]?.header).toMatchObject({ width: 500, height: 720, orientation: 6 });
    const { output } = runHere(
      textRecognition.run(RESOURCES, input, manifest, EDGE),
      ensemble().runner,
    );
    const [{ lines }] = output as [{ lines: { box: [number, number][] }[] }];
    expect(Math.max(...lines.flatMap(({ box }) => box.map(([, y]) => y)))).toBeLessThan(500);
  });
});

describe("pictures that are refused", () => {
  const decode = (bytes: Uint8Array<ArrayBuffer>, mediaType = "image/png") =>
    textRecognition.decode(raw(bytes, mediaType), MANIFEST, EDGE);
  let png: Uint8Array<ArrayBuffer>;
  let jpeg: Uint8Array<ArrayBuffer>;
  beforeAll(async () => {
    png = await pngOf(page([40, 60, 120, 12]));
    jpeg = await jpegOf(page([40, 60, 120, 12]));
  });

  it("never decodes a picture of too many pixels", async () => {
    const wide = await pngOf(drawn(1001, 100, () => [255, 255, 255]));
    expect(() => decode(wide)).toThrow(refusal("image_too_large", "inputs") as Error);
    const bomb = pngOfChunks([
      ["IHDR", ihdr(60_000, 60_000)],
      ["IDAT", new Uint8Array(16)],
      ["IEND", new Uint8Array()],
    ]);
    expect(() => decode(bomb)).toThrow(refusal("image_too_large", "inputs") as Error);
  });

  it.each([
    ["text that calls itself a JPEG", () => new TextEncoder().encode("not a picture")],
    ["a GIF", () => new TextEncoder().encode("GIF89a\u0001\u0000\u0001\u0000")],
    ["half a PNG", () => png.slice(0, png.length / 2)],
    ["half a JPEG", () => jpeg.slice(0, jpeg.length / 2)],
  ])("refuses %s", (_title, bytes) => {
    const attempt = () => recognise(bytes() as Uint8Array<ArrayBuffer>);
    expect(attempt).toThrow(refusal("unsupported_image", "inputs") as Error);
  });

  it("runs no graph for a PNG whose pixels are damaged", () => {
    const damaged = png.slice();
    for (let at = 60; at < 90; at++) damaged[at] = 0xaa;
    const { seen, runner } = ensemble();
    expect(() => recognise(damaged, { seen, runner })).toThrow(
      refusal("unsupported_image", "inputs") as Error,
    );
    expect(seen).toEqual([]);
  });

  it.each([
    ["a number", 7, "invalid_input"],
    ["an address", "https://example.com/page.png", "invalid_input"],
    ["an empty array", [], "invalid_input"],
    ["more than a batch", ["", "", "", ""], "batch_too_large"],
  ] as const)("refuses %s as inputs", (_title, inputs, code) => {
    expect(() => textRecognition.decode(json(inputs), MANIFEST, EDGE)).toThrow(
      refusal(code, "inputs") as Error,
    );
  });

  it("refuses a min_score that is none", () => {
    expect(() => textRecognition.decode(json("", { min_score: 2 }), MANIFEST, EDGE)).toThrow(
      refusal("invalid_input", "parameters.min_score") as Error,
    );
  });
});
