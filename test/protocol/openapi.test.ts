import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { usageRows } from "../../src/billing/usage-report.ts";
import { openApiDocument } from "../../src/control/openapi.ts";
import { ROUTES } from "../../src/control/routes/index.ts";
import { ERROR_CODES } from "../../src/errors.ts";
import { EXPOSED_HEADERS } from "../../src/protocol/cors.ts";
import { edgeDocument } from "../../src/protocol/openapi/document.ts";
import { codesOf } from "../../src/protocol/openapi/errors.ts";
import { operations } from "../../src/protocol/openapi/operations.ts";
import { taskDocs } from "../../src/protocol/openapi/tasks.ts";
import { WIRE_FORMS } from "../../src/protocol/problem.ts";
import { knownRoutes } from "../../src/protocol/router.ts";
import { taskFor } from "../../src/tasks/index.ts";
import { ROOT } from "../../src/publish/workspace.ts";
import { undocumented } from "../support/documented.ts";
import { problemsWith, resolve } from "../support/json-schema.ts";
import { manifestOf } from "../support/manifests.ts";

interface Documented {
  readonly summary: string;
  readonly security: readonly object[];
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: {
    readonly content: Record<
      string,
      { schema: unknown; examples?: Record<string, { value: unknown }> }
    >;
  };
  readonly responses: Record<string, Response>;
}

interface Response {
  readonly $ref?: string;
  readonly description: string;
}

interface Document {
  openapi: string;
  paths: Record<string, Record<string, Documented>>;
  components: { headers: Record<string, object>; schemas: Record<string, object> };
}

const document = JSON.parse(JSON.stringify(edgeDocument(knownRoutes()))) as Document;

/** Answers of an operation by status, with those that several operations share. */
function responsesOf({ responses }: Documented): [string, Response][] {
  return Object.entries(responses).map(([status, response]) => [
    status,
    response.$ref === undefined ? response : (resolve(document, response.$ref) as Response),
  ]);
}

const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);

/** What is said to a pool, and what every answer of HTTP has. */
const OTHERS = new Set(["accept", "content-type", "content-length"]);

/** Source of the routes, and of what they call to answer. */
async function sources(): Promise<string[]> {
  const folders = ["src/protocol", "src/docs"];
  const files = await Promise.all(
    folders.map(async (folder) => {
      const names = await readdir(join(ROOT, folder), { recursive: true });
      return names
        .filter((name) => name.endsWith(".ts") && !name.startsWith("openapi/"))
        .map((name) => join(ROOT, folder, name));
    }),
  );
  return Promise.all(
    [...files.flat(), join(ROOT, "src/conditional.ts")].map((file) => readFile(file, "utf8")),
  );
}

describe("the edge's OpenAPI document", () => {
  it("has every route of the router, and the router every operation of the document", () => {
    const routed = knownRoutes().map(
      ({ method, path }) => `${method.toLowerCase()} ${path.replaceAll(/:(\w+)/g, "{$1}")}`,
    );
    const found = documented.map(({ path, method }) => `${method} ${path}`);
    expect(found.toSorted()).toEqual(routed.toSorted());
    const withoutVersion = new Set(
      knownRoutes().map(
        ({ method, path }) => `${method} ${path.replace("/versions/:version", "")}`,
      ),
    );
    expect(Object.keys(operations()).toSorted()).toEqual([...withoutVersion].toSorted());
  });

  it("describes every parameter of a path, and nothing twice", () => {
    for (const { path, operation } of documented) {
      const inPath = operation.parameters.filter((one) => one.in === "path");
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect(inPath.map(({ name }) => name)).toEqual(named);
      const all = operation.parameters.map((one) => `${one.in} ${one.name}`);
      expect(new Set(all).size).toBe(all.length);
      expect(operation.summary).toMatch(/^[A-Z].*\.$/);
    }
  });

  it("names, between it and the control plane's, every code, under its status", () => {
    const codes = new Set<string>();
    for (const { paths } of [document, openApiDocument(ROUTES) as Document]) {
      for (const operation of Object.values(paths).flatMap((one) => Object.values(one))) {
        for (const [status, { description }] of responsesOf(operation)) {
          for (const [, code = ""] of description.matchAll(/`([a-z_]+)`: /g)) {
            codes.add(code);
            expect(WIRE_FORMS).toHaveProperty(`${code}.status`, Number(status));
          }
        }
      }
    }
    // A path or method that is not there is no operation; the last is said to the origin Worker only.
    const elsewhere = ["method_not_allowed", "invalid_signature"];
    expect([...codes, ...elsewhere].toSorted()).toEqual(ERROR_CODES.toSorted());
  });

  it("offers no code of the control plane", () => {
    const ours = new Set(
      documented
        .flatMap(({ operation }) => responsesOf(operation))
        .flatMap(([, { description }]) =>
          [...description.matchAll(/`([a-z_]+)`: /g)].map(([, code]) => code),
        ),
    );
    expect(
      codesOf(["control", "pool"]).filter((code) => code !== "internal" && ours.has(code)),
    ).toEqual([]);
  });

  it("describes every header that an answer is given", async () => {
    const set = new Set<string>();
    for (const text of await sources()) {
      for (const [, name = ""] of text.matchAll(/headers\.(?:set|append)\(\s*"([\w-]+)"/g))
        set.add(name);
      for (const [, block = ""] of text.matchAll(/headers(?:: | = |\()\{([^}]*)\}/g)) {
        for (const [, name = ""] of block.matchAll(/"?([a-z][a-z-]*)"?: /g)) set.add(name);
      }
    }
    expect(set.size).toBeGreaterThan(25);
    const described = Object.keys(document.components.headers);
    expect([...set].filter((name) => !described.includes(name) && !OTHERS.has(name))).toEqual([]);
    expect(EXPOSED_HEADERS.filter((name) => !described.includes(name))).toEqual([]);
  });

  it("refers to nothing that is not there", () => {
    const text = JSON.stringify(document);
    const pointers = [...text.matchAll(/"\$ref":"([^"]+)"/g)].map(([, pointer = ""]) => pointer);
    expect(pointers.length).toBeGreaterThan(100);
    for (const pointer of new Set(pointers)) expect(resolve(document, pointer)).toBeDefined();
    for (const name of Object.keys(document.components.schemas)) {
      expect(pointers).toContain(`#/components/schemas/${name}`);
    }
  });

  it("shows examples that fit their schemas", () => {
    let examples = 0;
    for (const { operation } of documented) {
      for (const { schema, examples: shown = {} } of Object.values(
        operation.requestBody?.content ?? {},
      )) {
        for (const { value } of Object.values(shown)) {
          examples++;
          expect(problemsWith(value, schema, document)).toEqual([]);
        }
      }
    }
    expect(examples).toBeGreaterThan(8);
  });

  it("knows the media types of every task as its code has them", () => {
    for (const [type, doc] of Object.entries(taskDocs())) {
      const task = taskFor(manifestOf({ task: { type } } as Parameters<typeof manifestOf>[0]));
      expect([type, doc?.mediaTypes]).toEqual([type, task?.mediaTypes]);
    }
  });

  it("asks a key of everybody but those who want to know what this is", () => {
    const open = documented.filter(({ operation }) => operation.security.length === 0);
    const paths = open.map(({ path }) => path).filter((one) => !one.startsWith("/v2/"));
    expect(paths).toEqual([
      "/",
      "/openapi.json",
      "/docs",
      "/docs/{release}/{file}",
      "/.well-known/jwks.json",
      "/v2",
    ]);
    const post = document.paths["/v1/predict/{model}"]?.["post"];
    expect(post?.security).toEqual([{ key: [] }, { apiKey: [] }, {}]);
    expect(document.openapi).toBe("3.1.0");
  });

  it("describes usage as the ledgers tell it", () => {
    const sum = { model: "iris", version: 1, key: "key_1", placement: "edge", requests: 2 };
    const costs = { units: { items: 2 }, amount: 5, allowance: 1, volume: 0, repeated: 0 };
    const usage = usageRows([{ period: "2026-11-24", ...sum, ...costs }], ["model", "day"], {
      from: Date.UTC(2026, 10),
      to: Date.UTC(2026, 11),
    });
    const schema = document.components.schemas["Usage"];
    expect(problemsWith(usage, schema, document)).toEqual([]);
    expect(problemsWith({ ...usage, rows: [{ requests: -1 }] }, schema, document)).not.toEqual([]);
  });

  it("writes errors as the callers of each route read them", () => {
    const contentOf = (path: string) =>
      JSON.stringify(
        Object.values(document.paths[path] ?? {})
          .flatMap(responsesOf)
          .find(([status]) => status === "404"),
      );
    expect(contentOf("/v1/predict/{model}")).toContain("application/problem+json");
    expect(contentOf("/v2/models/{model}")).toContain("#/components/schemas/InferenceError");
    expect(contentOf("/v1/embeddings")).toContain("#/components/schemas/OpenAiError");
  });
});

describe("the checker of schemas", () => {
  const schema = {
    type: "object",
    required: ["a"],
    properties: { a: { type: "integer" }, b: { anyOf: [{ type: "string" }, { const: null }] } },
    additionalProperties: { type: "array", items: { enum: ["x"] } },
  };

  it.each([
    [{ a: 1 }, 0],
    [{ a: 1, b: null, c: ["x"] }, 0],
    [{}, 1],
    [{ a: 1.5 }, 1],
    [{ a: 1, b: 2 }, 3],
    [{ a: 1, c: ["y"] }, 1],
    [[], 1],
  ])("finds in %j %i problems", (value, problems) => {
    expect(problemsWith(value, schema, schema)).toHaveLength(problems);
  });

  it("does not pass over what it does not know", () => {
    expect(problemsWith(1, { multipleOf: 2 }, {})).toEqual(['$: nobody checks "multipleOf"']);
  });
});

describe("the checker of answers", () => {
  const check = undocumented(document);

  it("finds a header, a field and a status that are not described", async () => {
    const headers = { "content-type": "application/json", "x-else": "1" };
    const answer = new Response('{"name":5}', { headers });
    expect(await check("GET", "/", answer)).toEqual([
      "x-else is not described",
      '$.name: 5 is not "string"',
    ]);
    expect(await check("GET", "/", new Response("", { status: 418 }))).toEqual([
      "GET / does not answer 418",
    ]);
    expect(await check("GET", "/v2/models/iris/ready", new Response("ready"))).toEqual([
      "text/plain is not described",
    ]);
  });
});
