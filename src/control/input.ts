import * as v from "valibot";

import { depthOf } from "../catalog/same-json.ts";
import { type FieldProblem, NearsideError } from "../errors.ts";
import { decodeJson, isJson, mediaType, parseJson, readBody } from "../protocol/body.ts";

/** A flag with its rules has a few kilobytes. */
const MAX_BODY_BYTES = 1_048_576;

/** What nobody can read; and comparing it would overflow the stack. */
const MAX_BODY_DEPTH = 128;

/**
 * The JSON of a request's body; undefined when there is none.
 *
 * @throws NearsideError `unsupported_media_type`, `invalid_json`, `body_too_large` and what else can be wrong with a body
 */
export async function readJson(request: Request): Promise<unknown> {
  const bytes = await readBody(request, MAX_BODY_BYTES);
  if (bytes.length === 0) return undefined;
  const type = mediaType(request.headers.get("content-type"));
  if (!isJson(type)) {
    throw new NearsideError(
      "unsupported_media_type",
      `${type.essence === "" ? "There is no content type" : `"${type.essence}" is not accepted`}; send application/json.`,
      { field: "content-type" },
    );
  }
  const value = parseJson(decodeJson(bytes));
  if (depthOf(value) <= MAX_BODY_DEPTH) return value;
  throw new NearsideError(
    "invalid_request",
    `The body is nested deeper than ${MAX_BODY_DEPTH} levels.`,
  );
}

/**
 * Checks what was sent against its schema.
 *
 * @param whole how the whole of it is called: `body`
 * @throws NearsideError `invalid_request` with every field that is wrong
 */
export function check<T>(schema: v.GenericSchema<unknown, T>, value: unknown, whole: string): T {
  const parsed = v.safeParse(schema, value);
  if (parsed.success) return parsed.output;
  const problems = parsed.issues.flatMap((issue) => problemsOf(issue, ""));
  const named = problems.map(({ field, problem }) => ({ field: field || whole, problem }));
  const [first] = named;
  throw new NearsideError("invalid_request", `${first?.field}: ${first?.problem}.`, {
    ...(first && { field: first.field }),
    problems: named,
  });
}

/** Of a choice of forms, what is wrong with those that got furthest. */
function problemsOf(issue: v.BaseIssue<unknown>, prefix: string): FieldProblem[] {
  const field = joined(prefix, v.getDotPath(issue) ?? "");
  const within = issue.type === "union" ? (issue.issues ?? []) : [];
  const deeper = within.filter(({ path }) => path !== undefined);
  if (deeper.length > 0) return deeper.flatMap((inner) => problemsOf(inner, field));
  return [{ field, problem: words(issue) }];
}

function joined(prefix: string, path: string): string {
  return prefix === "" || path === "" ? prefix + path : `${prefix}.${path}`;
}

function words({ expected, received, message }: v.BaseIssue<unknown>): string {
  if (expected === "never") return "is not known here";
  if (received === "undefined") return "is missing";
  return message.startsWith("Invalid ")
    ? `must be ${expected ?? "something else"}, not ${received}`
    : message;
}
