import type { TensorSpec } from "../catalog/manifest.ts";
import { NearsideError } from "../errors.ts";
import { DATATYPES, type Feed, elementCount } from "./tensor.ts";

/**
 * What is fed to one input, checked against the signature.
 *
 * @throws NearsideError `invalid_tensor`
 */
export function checkFeed(spec: TensorSpec, feeds: Readonly<Record<string, Feed>>): Feed {
  const field = `inputs.${spec.name}`;
  const tensor = Object.hasOwn(feeds, spec.name) ? feeds[spec.name] : undefined;
  if (tensor === undefined) {
    throw new NearsideError("invalid_tensor", `The input "${spec.name}" is missing.`, { field });
  }
  if (tensor.datatype !== spec.datatype) {
    throw new NearsideError(
      "invalid_tensor",
      `The input "${spec.name}" takes ${spec.datatype}, not ${tensor.datatype}.`,
      { field },
    );
  }
  const fits =
    tensor.shape.length === spec.shape.length &&
    spec.shape.every((size, axis) => size === -1 || size === tensor.shape[axis]);
  if (!fits) {
    throw new NearsideError(
      "invalid_tensor",
      `The input "${spec.name}" takes shape [${spec.shape.join(", ")}], not [${tensor.shape.join(", ")}]` +
        (spec.shape.includes(-1) ? " (-1 is any size)." : "."),
      { field },
    );
  }
  const count = elementCount(tensor.shape);
  const given =
    "bytes" in tensor ? tensor.bytes.length / DATATYPES[tensor.datatype].bytes : tensor.data.length;
  if (given !== count) {
    throw new NearsideError(
      "invalid_tensor",
      `The input "${spec.name}" has ${given} elements where its shape [${tensor.shape.join(", ")}] holds ${count}.`,
      { field },
    );
  }
  if (tensor.datatype === "BYTES" && tensor.data.some((text) => text.includes("\0"))) {
    throw new NearsideError(
      "invalid_tensor",
      `A string of "${spec.name}" contains NUL, which ORT can't take.`,
      { field },
    );
  }
  return tensor;
}
