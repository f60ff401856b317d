import { NearsideError } from "../errors.ts";
import type { TaskRequest } from "./task.ts";

/** Parameters of a request, by name. Those that a task does not know are ignored: clients send extra ones. */
export type Parameters = TaskRequest["parameters"];

/** @throws NearsideError `invalid_input` */
export function booleanParameter(parameters: Parameters, name: string, fallback: boolean): boolean {
  const value = parameters[name] ?? fallback;
  if (typeof value === "boolean") return value;
  throw invalidParameter(name, "must be true or false");
}

export interface NumberRange {
  readonly fallback: number;
  readonly minimum: number;
  readonly maximum: number;
  readonly integer?: boolean;
}

/** @throws NearsideError `invalid_input` */
export function numberParameter(parameters: Parameters, name: string, range: NumberRange): number {
  const { fallback, minimum, maximum, integer = false } = range;
  const value = parameters[name] ?? fallback;
  if (
    typeof value === "number" &&
    value >= minimum &&
    value <= maximum &&
    (!integer || Number.isInteger(value))
  ) {
    return value;
  }
  throw invalidParameter(
    name,
    `must be ${integer ? "a whole number" : "a number"} from ${minimum} to ${maximum}`,
  );
}

export function invalidParameter(name: string, problem: string): NearsideError {
  return new NearsideError("invalid_input", `"${name}" ${problem}.`, {
    field: `parameters.${name}`,
  });
}

/** Which of Hugging Face's tasks is meant, as `checkHuggingFaceTask` lets through; undefined: nobody said. */
export function taskParameter(parameters: Parameters): string | undefined {
  const task = parameters["task"];
  return typeof task === "string" ? task : undefined;
}
