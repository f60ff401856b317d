import { beforeEach, describe, expect, it } from "vitest";

import { catalogBytes, controlOf, publishModels } from "../../support/control.ts";

const { ask, get } = controlOf();

const CREATE = { "if-none-match": "*" };
const ANY = { "if-match": "*" };
const flag = { state: "ENABLED", variants: { next: 2 }, defaultVariant: "next" };

const moveStable = (version: number) =>
  ask("PUT", "/v1/models/m/labels/stable", { body: { version }, headers: ANY });

beforeEach(() => publishModels({ m: [1, 2, 3], other: [1] }));

describe("the history of catalogs", () => {
  it("tells who changed what, newest first, page by page", async () => {
    await moveStable(2);
    await moveStable(3);
    const page = (await get("/v1/catalogs?limit=2")).json;
    expect(page).toMatchObject([
      { number: 3, by: "admin token", change: "stable of m names version 3" },
      { number: 2, change: "stable of m names version 2" },
    ]);
    expect((await get("/v1/catalogs?before=2")).json).toMatchObject([
      { number: 1, by: "the test" },
    ]);
    expect((await get("/v1/catalogs/2")).json).toMatchObject({
      number: 2,
      models: { m: { labels: { stable: 2 } } },
    });
  });

  it("tells what has changed from one to another, or to the current one", async () => {
    await moveStable(2);
    await ask("PUT", "/v1/models/m/flag", { body: flag, headers: CREATE });
    const moved = { field: "models.m.labels.stable", before: 1, after: 2 };
    expect((await get("/v1/catalogs/1/diff?to=2")).json).toEqual({
      from: 1,
      to: 2,
      changes: [moved],
    });
    expect((await get("/v1/catalogs/1/diff")).json).toEqual({
      from: 1,
      to: 3,
      changes: [moved, { field: "flags.m", after: flag }],
    });
    expect((await get("/v1/catalogs/3/diff?to=current")).json).toMatchObject({ changes: [] });
  });

  it.each<[string, object]>([
    [
      "/v1/catalogs/9",
      { code: "catalog_not_found", detail: expect.stringContaining("newest is 1") },
    ],
    ["/v1/catalogs/1/diff?to=9", { code: "catalog_not_found" }],
    ["/v1/catalogs/0", { code: "invalid_request", field: "number" }],
    ["/v1/catalogs/one/diff", { code: "invalid_request", field: "number" }],
    ["/v1/catalogs?limit=0", { code: "invalid_request", field: "limit" }],
    ["/v1/catalogs?limit=201", { field: "limit", detail: "limit: must be 200 at most." }],
    ["/v1/catalogs?from=3", { field: "from", detail: "from: is not known here." }],
    ["/v1/catalogs/1/diff?to=x", { code: "invalid_request", field: "to" }],
  ])("refuses %s", async (path, problem) => {
    expect((await get(path)).json).toMatchObject(problem);
  });
});

describe("a rollback", () => {
  it("makes a new catalog with what an earlier one said", async () => {
    await moveStable(2);
    await ask("PUT", "/v1/models/m/flag", { body: flag, headers: CREATE });
    const { etag, json: current } = await get("/v1/catalog");
    expect(JSON.parse(await catalogBytes())).toEqual(current);
    const { json } = await ask("POST", "/v1/catalog/rollback", {
      body: { to: 1 },
      headers: { "if-match": etag },
    });
    expect(json).toEqual({
      catalog: 4,
      changes: [
        { field: "models.m.labels.stable", before: 2, after: 1 },
        { field: "flags.m", before: flag },
      ],
    });
    expect((await get("/v1/catalogs?limit=1")).json).toMatchObject([
      { number: 4, change: "back to catalog 1" },
    ]);
    expect((await get("/v1/audit?limit=1&model=m")).json).toMatchObject([
      {
        action: "catalog.rollback",
        target: "catalog",
        models: ["m"],
        before: { catalog: 3 },
        after: { catalog: 4 },
        catalog: 4,
        details: { to: 1 },
      },
    ]);
  });

  it("can be tried, and changes nothing then", async () => {
    await moveStable(2);
    const before = await catalogBytes();
    const { json } = await ask("POST", "/v1/catalog/rollback?dry-run=true", {
      body: { to: 1 },
      headers: ANY,
    });
    expect(json).toMatchObject({ catalog: 3, dryRun: true, changes: [{ before: 2, after: 1 }] });
    expect(await catalogBytes()).toBe(before);
  });

  it("is refused from a catalog that is not there, and from one that somebody has changed", async () => {
    const { etag } = await get("/v1/catalog");
    const gone = await ask("POST", "/v1/catalog/rollback", { body: { to: 9 }, headers: ANY });
    expect(gone.json).toMatchObject({ code: "catalog_not_found" });
    await moveStable(2);
    const late = await ask("POST", "/v1/catalog/rollback", {
      body: { to: 1 },
      headers: { "if-match": etag },
    });
    expect(late).toMatchObject({ status: 412, json: { code: "precondition_failed" } });
  });
});
