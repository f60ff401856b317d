import type { CatalogModel } from "../../catalog/catalog.ts";
import type { Manifest, TensorSpec } from "../../catalog/manifest.ts";
import type { Datatype } from "../../runtime/tensor.ts";
import { versionsOf } from "./listed.ts";

/**
 * `GET /v2/models/{m}[/versions/{v}]/config`: the part of Triton's `ModelConfig` that is true of a model here.
 * Where every tensor begins with an axis that the request chooses, that axis is the batch, and no part of `dims`.
 * An ensemble takes no tensors: nothing is said of any.
 */
export function modelConfiguration(model: CatalogModel, manifest: Manifest): object {
  const { name, version, inputs, outputs, limits, edge, members } = manifest;
  const isBatched =
    inputs.length > 0 && [...inputs, ...outputs].every(({ shape }) => shape[0] === -1);
  const tensor = (spec: TensorSpec): object => ({
    name: spec.name,
    data_type: typeOf(spec.datatype),
    ...dimensions(isBatched ? spec.shape.slice(1) : spec.shape),
  });
  const versions = { version_policy: { specific: { versions: servedVersions(model) } } };
  if (members !== undefined) {
    return {
      name,
      platform: "ensemble",
      ...versions,
      ensemble_scheduling: schedulingOf(members, version),
    };
  }
  return {
    name,
    platform: "onnxruntime_onnx",
    backend: "onnxruntime",
    ...versions,
    max_batch_size: isBatched ? limits.maxBatch : 0,
    input: inputs.map(tensor),
    output: outputs.map(tensor),
    // One in each isolate that holds it; an origin's are its own affair.
    instance_group: edge === false ? [] : [{ name, kind: "KIND_CPU", count: 1 }],
  };
}

/** Triton has no empty `dims`: a number by itself is one of one, reshaped. */
function dimensions(shape: readonly number[]): object {
  return shape.length === 0 ? { dims: [1], reshape: { shape } } : { dims: shape };
}

/** Members have their ensemble's version. What goes from one to the next is computed, so there are no maps of tensors. */
function schedulingOf(members: NonNullable<Manifest["members"]>, version: number): object {
  return {
    step: Object.keys(members).map((member) => ({ model_name: member, model_version: version })),
  };
}

function servedVersions(model: CatalogModel): number[] {
  return versionsOf(model).filter((version) => model.offVersions?.includes(version) !== true);
}

/** Triton has a name of its own for BYTES. */
function typeOf(datatype: Datatype): string {
  return `TYPE_${datatype === "BYTES" ? "STRING" : datatype}`;
}
