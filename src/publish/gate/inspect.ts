import { createSession } from "../../runtime/create-session.ts";
import { NearsideError } from "../../errors.ts";
import { startOrt } from "../../runtime/ort-module.ts";
import { PublishError } from "../error.ts";
import { OnnxError } from "../onnx/error.ts";
import { isExternal, type OnnxModel, opsetOf, readModel } from "../onnx/model.ts";
import { subgraphsOf } from "../onnx/names.ts";
import { signature, type Signature } from "../onnx/signature.ts";
import { runtimeModule } from "../runtime.ts";

export interface Inspection extends Signature {
  readonly opset: number;
  /** Number of nodes by operator, subgraphs included; those of other domains with their domain. */
  readonly operators: Readonly<Record<string, number>>;
}

/** ONNX Runtime 1.30 knows the operators of ai.onnx up to this version. */
const NEWEST_OPSET = 26;

/**
 * Reads what a model takes, gives and uses.
 *
 * @throws PublishError `unsupported_model`, in words for whoever exported it
 */
export function inspect(onnx: Uint8Array): Inspection {
  let model: OnnxModel;
  let found: Signature;
  try {
    model = readModel(onnx);
    found = signature(onnx);
  } catch (error) {
    if (!(error instanceof OnnxError)) throw error;
    throw new PublishError("unsupported_model", error.message, { cause: error });
  }
  const external = model.graph.initializer.find(isExternal);
  if (external !== undefined) {
    throw new PublishError(
      "unsupported_model",
      `"${external.name}" is stored in another file. Save the model as one: onnx.save(model, path, save_as_external_data=False).`,
    );
  }
  const opset = opsetOf(model);
  if (opset > NEWEST_OPSET) {
    throw new PublishError(
      "unsupported_model",
      `The model uses opset ${opset}; the runtime knows ${NEWEST_OPSET}. Export it with opset_version=${NEWEST_OPSET} or lower.`,
    );
  }
  const operators: Record<string, number> = {};
  countOperators(model.graph.node, operators);
  return { ...found, opset, operators };
}

function countOperators(nodes: OnnxModel["graph"]["node"], counts: Record<string, number>): void {
  for (const node of nodes) {
    const name = node.domain === "" ? node.opType : `${node.domain}.${node.opType}`;
    counts[name] = (counts[name] ?? 0) + 1;
    for (const { node: inner } of subgraphsOf(node)) countOperators(inner, counts);
  }
}

/**
 * Creates a session in the WASM that will answer requests.
 *
 * @throws PublishError `unsupported_model` with the operator that the runtime lacks
 */
export async function checkRuns(onnx: Uint8Array): Promise<void> {
  const instance = await startOrt(await runtimeModule());
  try {
    createSession(instance, { graph: onnx });
  } catch (error) {
    if (!(error instanceof NearsideError)) throw error;
    throw new PublishError("unsupported_model", explain(error.message), { cause: error });
  }
}

/** ORT's own words for an operator that this build was made without. */
const NO_KERNEL = /Could not find an implementation for (\S+?)\((\d+)\)/;
const NO_SCHEMA = /(?:No Op registered for|not a registered function\/op)\s*(\S*)/;

function explain(words: string): string {
  const kernel = NO_KERNEL.exec(words);
  if (kernel !== null) {
    return `The edge's runtime has no ${kernel[1]} of opset ${kernel[2]}. Export the model without it, or serve it from the origin pool. ONNX Runtime says: ${words}`;
  }
  const schema = NO_SCHEMA.exec(words);
  if (schema !== null) {
    return `The runtime does not know the operator ${schema[1] ?? ""}: custom operators can't run at the edge. ONNX Runtime says: ${words}`;
  }
  return `The edge's runtime can't load the model. ONNX Runtime says: ${words}`;
}
