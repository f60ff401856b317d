import jpeg from "@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm";
import png from "@jsquash/png/codec/pkg/squoosh_png_bg.wasm?module";
import webp from "@jsquash/webp/codec/dec/webp_dec.wasm";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";

import { GraphBuilder } from "../../../src/publish/onnx/graph-builder.ts";
import { decodeImage, readImageHeader } from "../../../src/tasks/image/index.ts";
import { edgeOf } from "../../support/edge.ts";
import { publishGraph, putCatalog } from "../../support/publish-graph.ts";
import { RED_AND_BLUE } from "../../support/small-pictures.ts";

const FORMATS = ["jpeg", "png", "webp"] as const;
const LABELS = ["red", "green", "blue"];
const MAX_PIXELS = 1_000;

const bytesOf = (base64: string) => Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));

/** How red, green and blue a picture is on average. */
function averageGraph(): Uint8Array<ArrayBuffer> {
  const graph = new GraphBuilder("average");
  graph.input("pixels", "FP32", [1, 4, 4, 3]);
  const mean = graph.op("ReduceMean", ["pixels"], { axes: [1, 2], keepdims: 0 });
  graph.op("Div", [mean, graph.floats("white", [255])], {}, "probabilities");
  graph.output("probabilities", "FP32", [1, 3]);
  return graph.toBytes();
}

beforeAll(async () => {
  const manifest = await publishGraph(env.MODELS, "average", averageGraph(), {
    task: {
      type: "image-classification",
      width: 4,
      height: 4,
      maxPixels: MAX_PIXELS,
      labels: LABELS,
    },
  });
  await putCatalog(env.CATALOG, [manifest]);
});

function predict(body: BodyInit, contentType: string, edge = edgeOf()): Promise<Response> {
  return edge.send("/v1/predict/average", {
    method: "POST",
    headers: { "content-type": contentType },
    body,
  });
}

describe("pictures in workerd", () => {
  it.each(FORMATS)("decodes a %s, upright", (format) => {
    const bytes = bytesOf(RED_AND_BLUE[format]);
    const header = readImageHeader(bytes, "inputs");
    const image = decodeImage({ bytes, header, field: "inputs" }, { jpeg, png, webp });
    expect(image).toMatchObject({ width: 16, height: 8 });
    const pixel = (x: number, y: number) => [
      ...image.data.subarray(4 * (16 * y + x), 4 * (16 * y + x) + 4),
    ];
    const near = (values: readonly number[]) => values.map((value) => expect.closeTo(value, -1.5));
    expect([pixel(2, 4), pixel(13, 4)]).toEqual([
      near([230, 60, 30, 255]),
      near([20, 90, 200, 255]),
    ]);
  });

  it.each(FORMATS)("classifies a raw %s, at the edge", async (format) => {
    const response = await predict(bytesOf(RED_AND_BLUE[format]), `image/${format}`);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual([
      { label: "red", score: expect.closeTo(0.49, 1) as number },
      { label: "blue", score: expect.closeTo(0.45, 1) as number },
      { label: "green", score: expect.closeTo(0.29, 1) as number },
    ]);
  });

  it("classifies several in JSON, and counts the pixels that were sent", async () => {
    const inputs = [RED_AND_BLUE.png, `data:image/webp;base64,${RED_AND_BLUE.webp}`];
    const body = JSON.stringify({ inputs, parameters: { top_k: 1 } });
    const edge = edgeOf();
    const response = await predict(body, "application/json", edge);
    const red = { label: "red", score: expect.closeTo(0.49, 1) as number };
    expect(await response.json()).toEqual([[red], [red]]);
    expect(edge.events).toMatchObject([{ units: { items: 2, pixels: 256 } }]);
  });

  it("refuses a bomb with 413 and a text with 415, in words", async () => {
    const bomb = bytesOf(RED_AND_BLUE.png);
    new DataView(bomb.buffer).setUint32(16, 50_000);
    const large = await predict(bomb, "image/png");
    expect(large.status).toBe(413);
    expect(await large.json()).toMatchObject({ code: "image_too_large", field: "inputs" });
    const text = await predict("hello", "image/png");
    expect(text.status).toBe(415);
    expect(await text.json()).toMatchObject({ code: "unsupported_image", field: "inputs" });
  });
});
