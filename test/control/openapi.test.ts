import { describe, expect, it } from "vitest";

import { ERROR_CODES } from "../../src/errors.ts";
import { errorsOf, openApiDocument } from "../../src/control/openapi.ts";
import { router } from "../../src/control/router.ts";
import { ROUTES } from "../../src/control/routes/index.ts";

interface Operation {
  readonly summary: string;
  readonly security?: readonly object[];
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: { content: { "application/json": { schema: object } } };
  readonly responses: Record<string, { description: string }>;
}

const { paths, components } = JSON.parse(JSON.stringify(openApiDocument(ROUTES))) as {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: object };
};
const operations = Object.entries(paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);

describe("the OpenAPI document", () => {
  it("has every route of the router, and the router every operation of the document", () => {
    const routed = router.routes
      .filter(([method, , , path]) => method !== "HEAD" && path !== "*")
      .map(
        ([method, , , path]) =>
          `${method.toLowerCase()} ${path?.replaceAll(/:(\w+)/g, "{$1}") || "/"}`,
      );
    const documented = operations.map(({ method, path }) => `${method} ${path}`);
    expect(documented.toSorted()).toEqual(routed.toSorted());
    expect(documented.length).toBe(ROUTES.length);
    expect(new Set(documented).size).toBe(documented.length);
  });

  it("names only errors that exist, each under its status", () => {
    for (const { operation } of operations) {
      for (const { description } of Object.values(operation.responses).slice(1)) {
        for (const [, code = ""] of description.matchAll(/`([a-z_]+)`: /g)) {
          expect(ERROR_CODES).toContain(code);
        }
      }
    }
    expect(ROUTES.flatMap(errorsOf).filter((code) => !ERROR_CODES.includes(code))).toEqual([]);
    expect(Object.keys(paths["/v1/models/{model}/rollout"]?.post?.responses ?? {})).toEqual(
      expect.arrayContaining(["201", "401", "404", "409", "412", "422", "428"]),
    );
  });

  it("says of every parameter in a path what it is", () => {
    for (const { path, operation } of operations) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const described = operation.parameters.filter((one) => one.in === "path");
      expect(described.map(({ name }) => name)).toEqual(named);
      expect(operation.summary).toMatch(/\.$/);
    }
  });

  it("tells that every change takes a precondition and can be tried", () => {
    const changing = ROUTES.filter(({ changes }) => changes);
    expect(changing.length).toBe(25);
    const withDryRun = operations.filter(({ operation }) =>
      operation.parameters.some(({ name }) => name === "dry-run"),
    );
    expect(withDryRun.length).toBe(changing.length);
    for (const { operation } of withDryRun) {
      expect(operation.parameters.map(({ name }) => name)).toContain("If-Match");
      expect(operation.responses).toHaveProperty("428");
    }
  });

  it("offers force where an amount may look like a slip, and nowhere else", () => {
    const forced = operations.filter(({ operation }) =>
      operation.parameters.some(({ name }) => name === "force"),
    );
    expect(forced.map(({ path }) => path)).toEqual([
      "/v1/prices",
      "/v1/accounts/{account}/credits",
    ]);
  });

  it("describes bodies by what checks them", () => {
    const schema = (path: string, method: string) =>
      paths[path]?.[method]?.requestBody?.content["application/json"].schema;
    expect(schema("/v1/models/{model}/labels/{label}", "put")).toEqual({
      type: "object",
      properties: {
        version: expect.objectContaining({ type: "integer", minimum: 1 }),
      },
      required: ["version"],
      additionalProperties: false,
    });
    const plan = schema("/v1/models/{model}/rollout", "post");
    expect(plan).toMatchObject({
      required: ["version"],
      properties: { steps: { default: [1, 5, 25, 50, 100] }, guards: { type: "object" } },
    });
    expect(components.schemas).toHaveProperty("Problem");
  });

  it("asks credentials of everybody but those who want to know what this is", () => {
    const open = operations.filter(({ operation }) => operation.security?.length === 0);
    expect(open.map(({ path }) => path)).toEqual([
      "/",
      "/openapi.json",
      "/docs",
      "/docs/{release}/{file}",
    ]);
  });
});
