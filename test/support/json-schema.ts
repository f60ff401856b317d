type Schema = boolean | { readonly [keyword: string]: unknown };

/** What is wrong with a value, by JSON Schema 2020-12 as far as our documents use it. */
export function problemsWith(value: unknown, schema: unknown, root: unknown, at = "$"): string[] {
  if (schema === true) return [];
  if (typeof schema !== "object" || schema === null)
    return [`${at}: ${String(schema)} is no schema`];
  return Object.entries(schema).flatMap(([keyword, rule]) => {
    const check = Object.hasOwn(KEYWORDS, keyword) ? KEYWORDS[keyword] : undefined;
    if (check === undefined) return [`${at}: nobody checks "${keyword}"`];
    return check(value, rule, { schema: schema as Schema & object, root, at });
  });
}

interface Place {
  readonly schema: { readonly [keyword: string]: unknown };
  readonly root: unknown;
  readonly at: string;
}

type Check = (value: unknown, rule: unknown, place: Place) => string[];

const said: Check = () => [];

const holds =
  (test: (value: unknown, rule: unknown) => boolean): Check =>
  (value, rule, { at }) =>
    test(value, rule)
      ? []
      : [`${at}: ${JSON.stringify(value)?.slice(0, 80)} is not ${JSON.stringify(rule)}`];

const KEYWORDS: Readonly<Record<string, Check>> = {
  description: said,
  default: said,
  examples: said,
  format: said,
  type: holds((value, rule) => [rule].flat().includes(typeOf(value)) || isWhole(value, rule)),
  const: holds((value, rule) => same(value, rule)),
  enum: holds((value, rule) => listOf(rule).some((one) => same(value, one))),
  minimum: holds((value, rule) => typeof value !== "number" || value >= Number(rule)),
  maximum: holds((value, rule) => typeof value !== "number" || value <= Number(rule)),
  minLength: holds((value, rule) => typeof value !== "string" || value.length >= Number(rule)),
  maxLength: holds((value, rule) => typeof value !== "string" || value.length <= Number(rule)),
  pattern: holds(
    (value, rule) => typeof value !== "string" || new RegExp(String(rule)).test(value),
  ),
  minItems: holds((value, rule) => !Array.isArray(value) || value.length >= Number(rule)),
  maxItems: holds((value, rule) => !Array.isArray(value) || value.length <= Number(rule)),
  required: (value, rule, { at }) =>
    isObject(value)
      ? listOf(rule).flatMap((name) =>
          String(name) in value ? [] : [`${at}.${String(name)} is missing`],
        )
      : [],
  properties: (value, rule, { root, at }) =>
    isObject(value) && isObject(rule)
      ? Object.entries(rule).flatMap(([name, schema]) =>
          name in value ? problemsWith(value[name], schema, root, `${at}.${name}`) : [],
        )
      : [],
  additionalProperties: (value, rule, { schema, root, at }) => {
    const known = isObject(schema["properties"]) ? Object.keys(schema["properties"]) : [];
    return isObject(value)
      ? Object.entries(value)
          .filter(([name]) => !known.includes(name))
          .flatMap(([name, one]) => problemsWith(one, rule, root, `${at}.${name}`))
      : [];
  },
  items: (value, rule, { root, at }) =>
    Array.isArray(value)
      ? value.flatMap((item, index) => problemsWith(item, rule, root, `${at}[${index}]`))
      : [],
  allOf: (value, rule, { root, at }) =>
    listOf(rule).flatMap((schema) => problemsWith(value, schema, root, at)),
  anyOf: (value, rule, { root, at }) => {
    const each = listOf(rule).map((schema) => problemsWith(value, schema, root, at));
    return each.some((problems) => problems.length === 0) ? [] : [`${at}: none of`, ...each.flat()];
  },
  $ref: (value, rule, { root, at }) => problemsWith(value, resolve(root, String(rule)), root, at),
};

/** The part of a document that `#/components/schemas/Problem` names. */
export function resolve(root: unknown, pointer: string): unknown {
  return pointer
    .split("/")
    .slice(1)
    .reduce<unknown>((part, name) => (isObject(part) ? part[name] : undefined), root);
}

const listOf = (rule: unknown): readonly unknown[] => (Array.isArray(rule) ? rule : []);

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

function isWhole(value: unknown, rule: unknown): boolean {
  return [rule].flat().includes("integer") && Number.isInteger(value);
}

function same(value: unknown, other: unknown): boolean {
  return JSON.stringify(value) === JSON.stringify(other);
}
