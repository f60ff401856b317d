import type { ValueInfoProto } from "onnx-buf";

import type { TensorSpec } from "../../catalog/manifest.ts";
import { OnnxError } from "./error.ts";
import { datatypeOf, readModel } from "./model.ts";

/** What a graph takes and gives. */
export interface Signature {
  readonly inputs: TensorSpec[];
  readonly outputs: TensorSpec[];
}

/** A dimension that the request chooses. */
const DYNAMIC = -1;

/**
 * Reads the signature that a model declares. Initialisers that old exporters list among the inputs
 * are left out.
 * @throws OnnxError for values that are no tensors, have no declared rank, or an unsupported datatype
 */
export function signature(onnx: Uint8Array): Signature {
  const { graph } = readModel(onnx);
  const constants = new Set(graph.initializer.map(({ name }) => name));
  return {
    inputs: graph.input.filter(({ name }) => !constants.has(name)).map(inputOf),
    outputs: graph.output.map(specOf),
  };
}

/** With the names of its axes: those of one name have one size, whichever inputs they are of. */
function inputOf(value: ValueInfoProto): TensorSpec {
  const spec = specOf(value);
  const dimensions = value.type?.value.case === "tensorType" && value.type.value.value.shape?.dim;
  const axes = (dimensions || []).map(({ value: size }) =>
    size.case === "dimParam" && size.value !== "" ? size.value : null,
  );
  return axes.some((name) => name !== null) ? { ...spec, axes } : spec;
}

function specOf({ name, type }: ValueInfoProto): TensorSpec {
  if (type?.value.case !== "tensorType") {
    throw new OnnxError(
      "unsupported_datatype",
      `"${name}" is ${type?.value.case ?? "untyped"}; only tensors can be served.`,
    );
  }
  const { elemType, shape } = type.value.value;
  if (shape === undefined) {
    throw new OnnxError("unsupported_graph", `"${name}" doesn't declare its rank.`);
  }
  return {
    name,
    datatype: datatypeOf(elemType, name),
    shape: shape.dim.map(({ value }) =>
      value.case === "dimValue" && value.value >= 0n ? Number(value.value) : DYNAMIC,
    ),
  };
}
