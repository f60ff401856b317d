import { toJsonSchema } from "@valibot/to-json-schema";
import type * as v from "valibot";

import type { ErrorCode } from "../errors.ts";
import {
  documentedPath,
  namesIn,
  type Parameter,
  PROBLEM,
  refusals,
  TEXT,
} from "../protocol/openapi/schema.ts";
import type { Route } from "./route.ts";

const BODY_ERRORS = [
  "invalid_request",
  "invalid_json",
  "unsupported_media_type",
  "body_too_large",
  "body_timeout",
] as const;
const CHANGE_ERRORS = [
  "precondition_required",
  "precondition_failed",
  "catalog_busy",
  "manifest_missing",
] as const;

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
    (paths[documentedPath(route.path)] ??= {})[route.method.toLowerCase()] = operationOf(route);
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
    tags: [tagOf(route)],
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
        content: { [route.changes ? JSON_TYPE : (route.mediaType ?? JSON_TYPE)]: {} },
      },
      ...refusals(errorsOf(route)),
    },
  };
}

/** `/v1/models/:model/labels/:label` stands among models. */
function tagOf({ path }: Route): string {
  return /^\/v1\/([a-z-]+)/.exec(path)?.[1] ?? "about";
}

function parametersOf(route: Route): Parameter[] {
  const inPath = namesIn(route.path).map((name): Parameter => ({
    name,
    in: "path",
    required: true,
    schema: TEXT,
  }));
  if (route.changes) {
    return [...inPath, ...CHANGE_PARAMETERS, ...(route.takesForce ? [FORCE_PARAMETER] : [])];
  }
  const { properties = {} } = route.query ? jsonSchemaOf(route.query) : {};
  const inQuery = Object.entries(properties).map(([name, schema]): Parameter => ({
    name,
    in: "query",
    schema: { ...(schema as object) },
  }));
  return [...inPath, ...inQuery];
}

function jsonSchemaOf(schema: v.GenericSchema) {
  // What JSON Schema has no word for is checked all the same, and refused with a sentence.
  const { $schema: _, ...rest } = toJsonSchema(schema, { typeMode: "input", errorMode: "ignore" });
  return rest;
}

const JSON_TYPE = "application/json";

const CHANGE_PARAMETERS: readonly Parameter[] = [
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

const FORCE_PARAMETER: Parameter = {
  name: "force",
  in: "query",
  description: "`true`: an amount that looks like a slip is meant.",
  schema: { enum: ["true", "false"] },
};
