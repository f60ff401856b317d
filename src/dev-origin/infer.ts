import type { Manifest, TensorSpec } from "../catalog/manifest.ts";
import { graphsOf } from "../catalog/members.ts";
import { NearsideError } from "../errors.ts";
import {
  BINARY_MEDIA_TYPE,
  HEADER_LENGTH,
  type RequestedOutput,
  type TensorRequest,
  decodeBinaryRequest,
  encodeBinaryResponse,
  headerLengthOf,
} from "../protocol/open-inference/binary.ts";
import { modelMetadata } from "../protocol/open-inference/metadata.ts";
import type { Tensor } from "../runtime/tensor.ts";
import { type Call, type Origin, type Reply, json } from "./call.ts";

const SERVER = { name: "nearside-dev-origin", version: "0.1.0" };
const EXTENSIONS = ["binary_tensor_data", "model_repository"];

/** As many as a route of the catalog allows. */
const MAX_BATCH = 1024;

/** `GET /v2` */
export function getServer(): Reply {
  return json({ ...SERVER, extensions: EXTENSIONS });
}

/** `GET /v2/health/live` */
export function getLive(): Reply {
  return json({ live: true });
}

/** `GET /v2/health/ready`: models can be looked up. */
export async function getReady({ models }: Origin): Promise<Reply> {
  await models.catalog();
  return json({ live: true, ready: true });
}

/** `GET /v2/models/{m}[/versions/{v}]` */
export async function getModel({ models }: Origin, { params }: Call): Promise<Reply> {
  const { model = "", version } = params;
  const manifest = await models.manifest(model, version);
  return json(modelMetadata(await models.model(model), manifest));
}

/** `GET /v2/models/{m}[/versions/{v}]/ready`: a request would be answered, if need be after loading. */
export async function getModelReady({ models }: Origin, { params }: Call): Promise<Reply> {
  const { model = "", version } = params;
  const { name } = await models.manifest(model, version);
  const ready = !models.isUnloaded(name);
  return json({ name, ready }, ready ? 200 : 503);
}

/** `POST /v2/models/{m}[/versions/{v}]/infer`, with tensors as JSON or as bytes. */
export async function postInfer(origin: Origin, call: Call): Promise<Reply> {
  const { model = "", version } = call.params;
  const manifest = await origin.models.manifest(model, version);
  refuseEnsemble(manifest);
  const request = decodeBinaryRequest(await call.body(), headerLengthOf(call.headers));
  checkInputs(request, manifest);
  const outputs = outputsOf(request, manifest);
  const session = await origin.models.session(manifest);
  origin.metrics.count("inferences", manifest.name);
  const tensors = await session.run(request.inputs, call);
  return encode(manifest, request.id, outputs, tensors);
}

function refuseEnsemble(manifest: Manifest): void {
  if (manifest.members === undefined) return;
  const names = [...graphsOf(manifest).values()].map(({ name }) => name).join(", ");
  throw new NearsideError(
    "invalid_request",
    `"${manifest.name}" is an ensemble; its members are ${names}.`,
    { field: "model" },
  );
}

/** `POST /v2/repository/index`; `{"ready": true}` leaves out what is not loaded. */
export async function postIndex({ models }: Origin, call: Call): Promise<Reply> {
  const text = new TextDecoder().decode(await call.body());
  const onlyReady = /"ready"\s*:\s*true/.test(text);
  const entries = await models.index();
  return json(onlyReady ? entries.filter(({ state }) => state === "READY") : entries);
}

/** `POST /v2/repository/models/{m}/load` */
export async function postLoad({ models }: Origin, { params }: Call): Promise<Reply> {
  await models.load(params["model"] ?? "");
  return json({});
}

/** `POST /v2/repository/models/{m}/unload` */
export async function postUnload({ models }: Origin, { params }: Call): Promise<Reply> {
  await models.unload(params["model"] ?? "");
  return json({});
}

function encode(
  { name, version }: Manifest,
  id: string | undefined,
  outputs: readonly RequestedOutput[],
  tensors: Readonly<Record<string, Tensor>>,
): Reply {
  const { body, headerLength } = encodeBinaryResponse({
    model: name,
    version: String(version),
    id,
    outputs: outputs.flatMap((output) => {
      const tensor = tensors[output.name];
      return tensor === undefined ? [] : [{ ...output, tensor }];
    }),
  });
  const headers: Record<string, string> =
    headerLength === undefined
      ? { "content-type": "application/json" }
      : { "content-type": BINARY_MEDIA_TYPE, [HEADER_LENGTH]: String(headerLength) };
  return { headers, body };
}

/** ONNX Runtime would refuse the same, in words that name its own insides. */
function checkInputs({ inputs }: TensorRequest, manifest: Manifest): void {
  for (const spec of manifest.inputs) {
    const tensor = inputs[spec.name];
    if (tensor === undefined) throw refusal(`The input "${spec.name}" is missing.`);
    if (tensor.datatype !== spec.datatype) {
      throw refusal(`"${spec.name}" takes ${spec.datatype}, not ${tensor.datatype}.`);
    }
    if (!fits(tensor.shape, spec)) {
      const [wanted, given] = [spec.shape.join(", "), tensor.shape.join(", ")];
      throw refusal(`"${spec.name}" takes shape [${wanted}], not [${given}].`);
    }
    if (spec.shape[0] === -1 && (tensor.shape[0] ?? 0) > MAX_BATCH) {
      throw new NearsideError("batch_too_large", `One request may carry ${MAX_BATCH} inputs.`);
    }
  }
  const known = new Set(manifest.inputs.map(({ name }) => name));
  const stray = Object.keys(inputs).find((name) => !known.has(name));
  if (stray !== undefined) throw refusal(`The model has no input "${stray.slice(0, 64)}".`);
}

function fits(shape: readonly number[], spec: TensorSpec): boolean {
  return (
    shape.length === spec.shape.length &&
    spec.shape.every((size, axis) => size === -1 || size === shape[axis])
  );
}

function outputsOf(
  { outputs = [], binaryOutputs }: TensorRequest,
  manifest: Manifest,
): readonly RequestedOutput[] {
  const names = manifest.outputs.map(({ name }) => name);
  const stray = outputs.find(({ name }) => !names.includes(name));
  if (stray) throw refusal(`The model has no output "${stray.name.slice(0, 64)}".`);
  return outputs.length > 0 ? outputs : names.map((name) => ({ name, binary: binaryOutputs }));
}

function refusal(words: string): NearsideError {
  return new NearsideError("invalid_tensor", words);
}
