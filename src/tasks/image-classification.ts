import {
  decodeImage,
  IMAGE_MEDIA_TYPES,
  imageInputs,
  pixelsOf,
  type RequestImages,
  resizeBilinear,
} from "./image/index.ts";
import { type LabelScore, output, rankLabels } from "./outputs.ts";
import { numberParameter } from "./parameters.ts";
import type { Task, Units } from "./task.ts";
import type { ImageCodecs } from "./tools.ts";

const DEFAULT_TOP_K = 5;

export interface ImagesInput extends RequestImages {
  readonly topK: number;
}

/**
 * What a picture shows: Hugging Face's `image-classification`, and a raw JPEG, PNG or WebP file.
 *
 * Graph: `pixels` FP32 [1, height, width, 3], red, green and blue from 0 to 255 -> `probabilities` FP32
 * [1, labels]. Output: `[{label, score}]`, best first; an array of those for an array. Units: `items`, and
 * `pixels` as they were sent.
 *
 * Pictures are decoded one after the other: one stands in memory at a time.
 */
export const imageClassification: Task<"image-classification", ImagesInput, ImageCodecs> = {
  mediaTypes: IMAGE_MEDIA_TYPES,

  decode(request, { task }, { maxBatch }) {
    const topK = numberParameter(request.parameters, "top_k", {
      fallback: Math.min(DEFAULT_TOP_K, task.labels.length),
      minimum: 1,
      maximum: task.labels.length,
      integer: true,
    });
    return { ...imageInputs(request, { maxBatch, maxPixels: task.maxPixels }), topK };
  },

  estimate: units,

  prepare: (_assets, _manifest, { codecs }) => codecs,

  *run(codecs, input, { task: { width, height, labels } }) {
    const results: LabelScore[][] = [];
    for (const image of input.images) {
      const data = resizeBilinear(decodeImage(image, codecs), width, height);
      const outputs = yield {
        feeds: { pixels: { datatype: "FP32", shape: [1, height, width, 3], data } },
      };
      const probabilities = output(outputs, "probabilities", "FP32", labels.length);
      results.push(rankLabels(labels, probabilities, 0, input.topK));
    }
    return { output: input.single ? results[0] : results, units: units(input) };
  },
};

function units({ images }: ImagesInput): Units {
  return { items: images.length, pixels: pixelsOf(images) };
}
