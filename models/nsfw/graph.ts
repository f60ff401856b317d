import * as v from "valibot";

import { GraphBuilder } from "../../src/publish/onnx/graph-builder.ts";
import type { AffineUint8, TfjsWeights } from "../../src/publish/weights/tfjs.ts";

const Pair = v.tuple([v.number(), v.number()]);
const Inbound = v.array(v.array(v.tuple([v.string(), v.number(), v.number(), v.unknown()])));
const layer = <const N extends string, C extends v.GenericSchema>(name: N, config: C) =>
  v.object({ class_name: v.literal(name), name: v.string(), config, inbound_nodes: Inbound });

const Convolution = v.object({
  strides: Pair,
  padding: v.picklist(["same", "valid"]),
  use_bias: v.literal(false),
  dilation_rate: v.tuple([v.literal(1), v.literal(1)]),
});

/** The layers that the model is made of, as Keras writes them. */
const Layer = v.variant("class_name", [
  layer("InputLayer", v.object({ batch_input_shape: v.array(v.nullable(v.number())) })),
  layer("ZeroPadding2D", v.object({ padding: v.tuple([Pair, Pair]) })),
  layer("Conv2D", Convolution),
  layer("DepthwiseConv2D", Convolution),
  layer("BatchNormalization", v.object({ epsilon: v.number() })),
  layer("ReLU", v.object({ max_value: v.literal(6) })),
  layer("Add", v.object({})),
  layer(
    "AveragePooling2D",
    v.object({ pool_size: Pair, strides: Pair, padding: v.literal("valid") }),
  ),
  layer("Flatten", v.object({})),
  layer("Dropout", v.object({})),
  layer("Dense", v.object({ activation: v.picklist(["relu", "softmax"]) })),
]);
type LayerOf<C> = Extract<v.InferOutput<typeof Layer>, { class_name: C }>;

const KerasModel = v.object({
  modelTopology: v.object({
    model_config: v.object({ config: v.object({ layers: v.array(Layer) }) }),
  }),
});

/** [top, left, bottom, right] */
type Pads = readonly [number, number, number, number];

/** The largest value of a pixel's channel: the authors divide by it, and here the first kernel does. */
const WHITE = 255;

/**
 * NSFWJS's MobileNetV2 as one graph, with each batch normalisation folded into the convolution before it.
 *
 * - `pixels`: FP32 `[batch, 224, 224, 3]`, red, green and blue from 0 to 255
 * - `probabilities`: FP32 `[batch, 5]`
 */
export function nsfwGraph(
  modelJson: unknown,
  weights: ReadonlyMap<string, TfjsWeights>,
): Uint8Array {
  const { layers } = v.parse(KerasModel, modelJson).modelTopology.model_config.config;
  const graph = new GraphBuilder("nsfw_mobilenet_v2");
  const values = new Map<string, string>();
  const paddings = new Map<string, Pads>();
  const zero = graph.floats("zero", [0]);
  const six = graph.floats("six", [6]);
  let isFirst = true;

  for (const one of layers) {
    const inputs = (one.inbound_nodes[0] ?? []).map(([name]) => name);
    const [before = ""] = inputs;
    const value = values.get(before) ?? "";
    switch (one.class_name) {
      case "InputLayer": {
        const [, height = 0, width = 0, channels = 0] = one.config.batch_input_shape.map(Number);
        const pixels = graph.input("pixels", "FP32", ["batch", height, width, channels]);
        values.set(one.name, graph.op("Transpose", [pixels], { perm: [0, 3, 1, 2] }));
        break;
      }
      case "ZeroPadding2D": {
        const [[top, bottom], [left, right]] = one.config.padding;
        paddings.set(one.name, [top, left, bottom, right]);
        values.set(one.name, value);
        break;
      }
      case "Conv2D":
      case "DepthwiseConv2D":
        values.set(one.name, convolution(one, value, paddings.get(before)));
        break;
      case "BatchNormalization":
      case "Dropout":
        values.set(one.name, value);
        break;
      case "ReLU":
        values.set(one.name, graph.op("Clip", [value, zero, six]));
        break;
      case "Add":
        values.set(
          one.name,
          graph.op(
            "Add",
            inputs.map((name) => values.get(name) ?? ""),
          ),
        );
        break;
      case "AveragePooling2D": {
        const { pool_size: kernel_shape, strides } = one.config;
        values.set(one.name, graph.op("AveragePool", [value], { kernel_shape, strides }));
        break;
      }
      case "Flatten":
        // Of one pixel, whose channels stand in the same order in either layout.
        values.set(one.name, graph.op("Flatten", [value], { axis: 1 }));
        break;
      case "Dense":
        values.set(one.name, dense(one, value));
        break;
    }
  }
  graph.output("probabilities", "FP32", ["batch", 5]);
  return graph.toBytes();

  function convolution(
    { name, class_name, config }: LayerOf<"Conv2D" | "DepthwiseConv2D">,
    value: string,
    padding: Pads | undefined,
  ): string {
    const normalisation = layers.find((one): one is LayerOf<"BatchNormalization"> => {
      return one.class_name === "BatchNormalization" && one.inbound_nodes[0]?.[0]?.[0] === name;
    });
    if (normalisation === undefined) throw new Error(`"${name}" is not normalised.`);
    const isDepthwise = class_name === "DepthwiseConv2D";
    const kernel = tensor(`${name}/${isDepthwise ? "depthwise_kernel" : "kernel"}`);
    const [height = 0, width = 0, first = 0, second = 0] = kernel.shape;
    const [outputs, channels] = isDepthwise ? [first, 1] : [second, first];
    const { factors, bias } = folded(normalisation);
    const scale = isFirst ? 1 / WHITE : 1;
    isFirst = false;
    const folds = new Float32Array(outputs * channels * height * width);
    let at = 0;
    for (let output = 0; output < outputs; output++) {
      const factor = (factors[output] ?? 0) * scale;
      for (let channel = 0; channel < channels; channel++) {
        for (let place = 0; place < height * width; place++) {
          const from = isDepthwise
            ? place * outputs + output
            : (place * channels + channel) * outputs + output;
          folds[at++] = factor * (kernel.data[from] ?? 0);
        }
      }
    }
    const shape = [outputs, channels, height, width];
    const weight = graph.initializer(`${name}/weights`, "FP32", shape, folds);
    const shift = graph.initializer(`${name}/bias`, "FP32", [outputs], bias);
    return graph.op("Conv", [value, weight, shift], {
      kernel_shape: [height, width],
      strides: config.strides,
      pads: padding ?? padsOf(config.padding === "same" ? height : 1, config.strides[0]),
      group: isDepthwise ? outputs : 1,
    });
  }

  function folded({ name, config }: LayerOf<"BatchNormalization">): {
    factors: Float64Array;
    bias: Float32Array<ArrayBuffer>;
  } {
    const [gamma, beta, mean, variance] = ["gamma", "beta", "moving_mean", "moving_variance"].map(
      (part) => tensor(`${name}/${part}`).data,
    );
    const factors = Float64Array.from(gamma ?? [], (value, index) => {
      return value / Math.sqrt((variance?.[index] ?? 0) + config.epsilon);
    });
    const bias = Float32Array.from(factors, (factor, index) => {
      return (beta?.[index] ?? 0) - (mean?.[index] ?? 0) * factor;
    });
    return { factors, bias };
  }

  function dense({ name, config }: LayerOf<"Dense">, value: string): string {
    const [kernel, bias] = [tensor(`${name}/kernel`), tensor(`${name}/bias`)];
    const sum = graph.op("Gemm", [
      value,
      graph.initializer(`${name}/weights`, "FP32", kernel.shape, kernel.data),
      graph.initializer(`${name}/bias`, "FP32", bias.shape, bias.data),
    ]);
    return config.activation === "relu"
      ? graph.op("Relu", [sum])
      : graph.op("Softmax", [sum], { axis: -1 }, "probabilities");
  }

  function tensor(name: string): { shape: readonly number[]; data: Float32Array<ArrayBuffer> } {
    const found = weights.get(name);
    if (found?.kind !== "affine-uint8") throw new Error(`There are no weights "${name}".`);
    return { shape: found.shape, data: floatsOf(found) };
  }
}

/** As TensorFlow.js does it: in double precision, rounded to float32. */
function floatsOf({ data, scale, min }: AffineUint8): Float32Array<ArrayBuffer> {
  return Float32Array.from(data, (value) => value * scale + min);
}

/** "same" in the model is only said of strides of 1, where it is half a kernel on each side. */
function padsOf(kernel: number, stride: number): Pads {
  if (kernel > 1 && stride !== 1) throw new Error('"same" is not symmetric with strides.');
  const half = (kernel - 1) / 2;
  return [half, half, half, half];
}
