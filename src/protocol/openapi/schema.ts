import { ERROR_CODES, type ErrorCode } from "../../errors.ts";
import { WIRE_FORMS } from "../problem.ts";

/** JSON Schema, as OpenAPI 3.1 has it. */
export interface Schema {
  readonly [keyword: string]: unknown;
}

/** Bodies by media type. */
export type Content = Readonly<
  Record<string, { readonly schema?: Schema; readonly examples?: object }>
>;

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required?: boolean;
  readonly description?: string;
  readonly schema: Schema;
  readonly example?: unknown;
}

export const TEXT: Schema = { type: "string" };
export const COUNT: Schema = { type: "integer", minimum: 0 };
export const FLAG: Schema = { type: "boolean" };

export const listOf = (items: Schema): Schema => ({ type: "array", items });
export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
export const anyOf = (...schemas: readonly Schema[]): Schema => ({ anyOf: schemas });

/** An object with these fields; those whose name ends in `?` may be left out. */
export function object(fields: Readonly<Record<string, Schema>>, description?: string): Schema {
  const names = Object.keys(fields);
  const required = names.filter((name) => !name.endsWith("?"));
  return {
    type: "object",
    ...(description !== undefined && { description }),
    ...(required.length > 0 && { required }),
    properties: Object.fromEntries(
      Object.entries(fields).map(([name, schema]) => [name.replace(/\?$/, ""), schema]),
    ),
  };
}

/** `/v1/models/:model` as OpenAPI writes it. */
export const documentedPath = (path: string): string => path.replaceAll(/:(\w+)/g, "{$1}");

/** Names of the parameters in a route's path. */
export const namesIn = (path: string): string[] =>
  [...path.matchAll(/:(\w+)/g)].map(([, name = ""]) => name);

/** RFC 9457, with the fields that every problem has here. */
export const PROBLEM: Schema = object(
  {
    type: TEXT,
    title: TEXT,
    status: { type: "integer" },
    code: { enum: ERROR_CODES },
    detail: TEXT,
    "field?": TEXT,
    "problems?": listOf(object({ field: TEXT, problem: TEXT })),
    requestId: TEXT,
  },
  "RFC 9457.",
);

/** How a family of routes writes its errors. */
export interface ErrorForm {
  readonly mediaType: string;
  /** The schema of a body that has one of these codes. */
  schema(codes: readonly ErrorCode[]): Schema;
}

export const PROBLEM_FORM: ErrorForm = {
  mediaType: "application/problem+json",
  schema: (codes) => ({ allOf: [ref("Problem")], properties: { code: { enum: codes } } }),
};

/** Refusals by status, each with the codes that it may have. */
export function refusals(
  codes: readonly ErrorCode[],
  { mediaType, schema }: ErrorForm = PROBLEM_FORM,
  headers?: object,
): Record<string, object> {
  const byStatus = Object.groupBy(new Set(codes), (code) => WIRE_FORMS[code].status);
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, group = []]) => [
      status,
      {
        description: group.map((code) => `\`${code}\`: ${WIRE_FORMS[code].title}.`).join(" "),
        ...(headers && { headers }),
        content: { [mediaType]: { schema: schema(group) } },
      },
    ]),
  );
}
