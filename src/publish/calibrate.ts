import { create } from "@bufbuild/protobuf";
import { ValueInfoProtoSchema } from "onnx-buf";

import { createSession } from "../runtime/create-session.ts";
import { startOrt } from "../runtime/ort-module.ts";
import { DATATYPES, type Tensor, type TensorOf } from "../runtime/tensor.ts";
import { OnnxError } from "./onnx/error.ts";
import { readModel, writeModel } from "./onnx/model.ts";
import { runtimeModule } from "./runtime.ts";

/** Between which numbers a value lay, zero included. */
export interface Range {
  readonly lowest: number;
  readonly highest: number;
}

/**
 * Shows the float32 values of a graph, one after the other, for each input. They are computed in the WASM runtime,
 * which computes the same on every machine.
 *
 * @param values names of values that nodes compute, or that are fed
 */
export async function visitValues(
  onnx: Uint8Array,
  values: readonly string[],
  inputs: readonly Readonly<Record<string, Tensor>>[],
  visit: (name: string, tensor: TensorOf<"FP32">) => void,
): Promise<void> {
  const model = readModel(onnx);
  const fed = new Set(model.graph.input.map(({ name }) => name));
  for (const { name } of model.graph.initializer) fed.delete(name);
  const computed = values.filter((name) => !fed.has(name));
  const type = { value: { case: "tensorType", value: { elemType: DATATYPES.FP32.onnx } } } as const;
  model.graph.output = computed.map((name) => create(ValueInfoProtoSchema, { name, type }));
  // A session needs an output: there is nothing to run when every value is fed.
  const session =
    computed.length === 0
      ? undefined
      : createSession(await startOrt(await runtimeModule()), { graph: writeModel(model) });
  for (const feeds of inputs) {
    const outputs = { ...feeds, ...session?.run(feeds, computed) };
    for (const name of values) {
      const tensor = outputs[name];
      if (tensor?.datatype !== "FP32") {
        throw new OnnxError("unsupported_datatype", `"${name}" is not a float32 tensor.`);
      }
      visit(name, tensor);
    }
  }
}

/**
 * Between which numbers the elements of some float32 values of a graph lie, over all inputs.
 *
 * @param values as `visitValues` takes them
 */
export async function valueRanges(
  onnx: Uint8Array,
  values: readonly string[],
  inputs: readonly Readonly<Record<string, Tensor>>[],
): Promise<Map<string, Range>> {
  const ranges = new Map<string, Range>();
  await visitValues(onnx, values, inputs, (name, { data }) => {
    let { lowest, highest } = ranges.get(name) ?? { lowest: 0, highest: 0 };
    for (const value of data) {
      if (value < lowest) lowest = value;
      if (value > highest) highest = value;
    }
    ranges.set(name, { lowest, highest });
  });
  return ranges;
}
