import * as v from "valibot";

/** A copy with another value at a place such as `inputs.0.name`; undefined takes the field away. */
export function withField(whole: unknown, field: string, value: unknown): unknown {
  const [first = "", ...rest] = field.split(".");
  const copy: unknown = structuredClone(whole);
  if (typeof copy !== "object" || copy === null) throw new Error(`there is nothing at ${field}`);
  if (rest.length > 0) {
    Reflect.set(copy, first, withField(Reflect.get(copy, first), rest.join("."), value));
  } else if (value === undefined) {
    Reflect.deleteProperty(copy, first);
  } else {
    Reflect.set(copy, first, value);
  }
  return copy;
}

/** Where a schema found something wrong. */
export function issuePaths({ issues }: v.SafeParseResult<v.GenericSchema>): string[] {
  return issues?.map((issue) => v.getDotPath(issue) ?? "") ?? [];
}
