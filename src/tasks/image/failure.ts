import { NearsideError } from "../../errors.ts";

/** @param problem what follows "The image " in the sentence, without a full stop: `is cut off` */
export function unsupportedImage(problem: string, field: string, cause?: unknown): NearsideError {
  return new NearsideError("unsupported_image", `The image ${problem}.`, { field, cause });
}
