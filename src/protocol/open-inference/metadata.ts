import type { CatalogModel } from "../../catalog/catalog.ts";
import type { Manifest, TensorSpec } from "../../catalog/manifest.ts";

export const SERVER_NAME = "nearside";
export const SERVER_VERSION = "0.1.0";

/** The specification's name for an ONNX model run by ONNX Runtime; Triton has its own. */
const PLATFORM = "onnx_onnxv1";

/** Extensions by Triton's names; `statistics` where the control plane can be asked for them. */
const EXTENSIONS = ["binary_tensor_data", "classification", "model_configuration"];
const REPOSITORY = ["model_repository", "model_repository(unload_dependents)"];

/** `GET /v2` */
export function serverMetadata({ hasStatistics }: { readonly hasStatistics: boolean }): object {
  const extensions = [...EXTENSIONS, ...REPOSITORY, ...(hasStatistics ? ["statistics"] : [])];
  return { name: SERVER_NAME, version: SERVER_VERSION, extensions };
}

/** `GET /v2/models/{m}[/versions/{v}]` */
export function modelMetadata(model: CatalogModel, manifest: Manifest): object {
  return {
    name: manifest.name,
    versions: Object.keys(model.versions),
    platform: manifest.members === undefined ? PLATFORM : "ensemble",
    inputs: manifest.inputs.map(tensorMetadata),
    outputs: manifest.outputs.map(tensorMetadata),
  };
}

function tensorMetadata({ name, datatype, shape }: TensorSpec): object {
  return { name, datatype, shape };
}
