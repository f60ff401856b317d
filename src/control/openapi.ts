import { toJsonSchema } from "@valibot/to-json-schema";
import type * as v from "valibot";

import type { ErrorCode } from "../errors.ts";
import { WIRE_FORMS } from "../protocol/problem.ts";
import type { Route } from "./route.ts";

const BODY_ERRORS = [
  "invalid_request",
  "invalid_json",
  "unsupported_media_type",
  "body_too_large",
  "body_timeout",
] as const;
const CHANGE_ERRORS = ["precondition_required", "precondition_failed", "catalog_busy"] as const;

/** Every reason for which a route may refuse. */
export function errorsOf(route: Route): ErrorCode[] {
  const isOpen = !route.changes && route.isOpen === true;
  const codes: ErrorCode[] = [
    ...(isOpen ? [] : (["unauthorized", "invalid_request"] as const)),
    ...(route.body ? BODY_ERRORS : []),
    ...(route.changes ? CHANGE_ERRORS : []),
    ...route.errors,
    "internal",
  ];
  return [...new Set(codes)];
}

/** Describes the API (OpenAPI 3.1) from what routes it and what checks its bodies. */
export function openApiDocument(routes: readonly Route[]): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/g, "{$1}");
    (paths[path] ??= {})[route.method.toLowerCase()] = operationOf(route);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Nearside: control plane",
      version: "1",
      description:
        "Models, labels, flags, origin pools, rollouts, catalogs, prices, accounts, keys and what they pay. Every change says what it changes " +
        "(If-Match, or If-None-Match: *), can be tried with ?dry-run=true, and is in the audit log.",
    },
    security: [{ adminToken: [] }, { access: [] }],
    paths,
    components: {
      securitySchemes: {
        adminToken: { type: "http", scheme: "bearer" },
        access: { type: "apiKey", in: "header", name: "Cf-Access-Jwt-Assertion" },
      },
      schemas: { Problem: PROBLEM },
    },
  };
}

function operationOf(route: Route): object {
  const isOpen = !route.changes && route.isOpen === true;
  const { body } = route;
  return {
    summary: route.summary,
    ...(isOpen && { security: [] }),
    parameters: parametersOf(route),
    ...(body && {
      requestBody: {
        required: body.type !== "optional",
        content: { "application/json": { schema: jsonSchemaOf(body) } },
      },
    }),
    responses: {
      [route.changes ? (route.status ?? 200) : 200]: {
        description: route.answers,
        content: { "application/json": {} },
      },
      ...problemsOf(errorsOf(route)),
    },
  };
}

function parametersOf(route: Route): object[] {
  const inPath = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  if (route.changes) {
    return [...inPath, ...CHANGE_PARAMETERS, ...(route.takesForce ? [FORCE_PARAMETER] : [])];
  }
  const { properties = {} } = route.query ? jsonSchemaOf(route.query) : {};
  const inQuery = Object.entries(properties).map(([name, schema]) => ({
    name,
    in: "query",
    schema,
  }));
  return [...inPath, ...inQuery];
}

function jsonSchemaOf(schema: v.GenericSchema) {
  // What JSON Schema has no word for is checked all the same, and refused with a sentence.
  const { $schema: _, ...rest } = toJsonSchema(schema, { typeMode: "input", errorMode: "ignore" });
  return rest;
}

function problemsOf(codes: readonly ErrorCode[]): Record<string, object> {
  const byStatus = Object.groupBy(codes, (code) => WIRE_FORMS[code].status);
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, group = []]) => [
      status,
      {
        description: group.map((code) => `\`${code}\`: ${WIRE_FORMS[code].title}.`).join(" "),
        content: {
          "application/problem+json": {
            schema: {
              allOf: [{ $ref: "#/components/schemas/Problem" }],
              properties: { code: { enum: group } },
            },
          },
        },
      },
    ]),
  );
}

const TEXT = { type: "string" };

const CHANGE_PARAMETERS = [
  {
    name: "If-Match",
    in: "header",
    description: "The ETag of what is changed, as GET answered it; `*` for whatever is there.",
    schema: TEXT,
  },
  {
    name: "If-None-Match",
    in: "header",
    description: "`*`: create, and refuse if it is there. This or If-Match must be sent.",
    schema: { const: "*" },
  },
  {
    name: "dry-run",
    in: "query",
    description: "`true` tells what would change, and changes nothing.",
    schema: { enum: ["true", "false"] },
  },
  {
    name: "Nearside-Actor",
    in: "header",
    description: "Who shows the admin token, for the audit log.",
    schema: { type: "string", maxLength: 64 },
  },
];

const FORCE_PARAMETER = {
  name: "force",
  in: "query",
  description: "`true`: an amount that looks like a slip is meant.",
  schema: { enum: ["true", "false"] },
};

const PROBLEM = {
  type: "object",
  description: "RFC 9457.",
  required: ["type", "title", "status", "code", "detail", "requestId"],
  properties: {
    type: TEXT,
    title: TEXT,
    status: { type: "integer" },
    code: TEXT,
    detail: TEXT,
    field: TEXT,
    problems: {
      type: "array",
      items: { type: "object", properties: { field: TEXT, problem: TEXT } },
    },
    requestId: TEXT,
  },
};
