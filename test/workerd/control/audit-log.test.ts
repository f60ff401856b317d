import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";

import type { Audit, AuditRecord } from "../../../src/control/audit.ts";
import { controlOf, publishModels } from "../../support/control.ts";

const logOf = (name: string): Audit => env.AUDIT_LOG.getByName(name) as unknown as Audit;

const record = (id: string, more: Partial<AuditRecord> = {}): AuditRecord => ({
  id,
  at: "2026-11-24T00:00:00.000Z",
  actor: "ada",
  action: "label.put",
  target: "models/m/labels/stable",
  models: ["m"],
  before: { version: 1 },
  after: { version: 2 },
  ...more,
});

describe("the audit log", () => {
  it("keeps every change once, in order, newest first", async () => {
    const log = logOf("order");
    for (const id of ["a", "b", "a", "c", "b"]) await log.append(record(id, { action: id }));
    const entries = await log.list({ limit: 10 });
    expect(entries.map(({ action }) => action)).toEqual(["c", "b", "a"]);
    const { id: _, ...told } = record("c", { action: "c" });
    expect(entries[0]).toEqual({ ...told, seq: entries[0]?.seq });
  });

  it("is read page by page, and by model", async () => {
    const log = logOf("pages");
    for (let entry = 0; entry < 7; entry++) {
      await log.append(record(`${entry}`, { models: entry % 2 ? ["m_1", "other"] : ["mx1"] }));
    }
    const first = await log.list({ limit: 3 });
    const second = await log.list({ limit: 9, before: first.at(-1)?.seq ?? 0 });
    const seqs = [...first, ...second].map(({ seq }) => seq);
    expect(seqs.length).toBe(7);
    expect(seqs).toEqual(seqs.toSorted((a, b) => b - a));
    expect((await log.list({ limit: 9, model: "m_1" })).length).toBe(3);
    expect((await log.list({ limit: 9, model: "gone" })).length).toBe(0);
  });

  it("keeps what is told beside, and only a word of what is too long for a row", async () => {
    const log = logOf("details");
    await log.append(record("a", { catalog: 7, details: { why: "said so" }, before: null }));
    await log.append(record("b", { after: "x".repeat(3_000_000) }));
    const [long, short] = await log.list({ limit: 2 });
    expect(short).toMatchObject({ catalog: 7, details: { why: "said so" }, before: null });
    expect(long?.after).toEqual({ omitted: "3000002 characters; its catalog has them" });
  });
});

describe("changes through the API", () => {
  const { ask, get } = controlOf();
  beforeEach(() => publishModels({ m: [1, 2] }));

  it("are in the audit log, with what was there before and after", async () => {
    const put = (version: number, precondition: Record<string, string>) =>
      ask("PUT", "/v1/models/m/labels/canary", {
        body: { version },
        headers: { ...precondition, "nearside-actor": "ada" },
      });
    await put(1, { "if-none-match": "*" });
    await put(2, { "if-match": "*" });
    await ask("DELETE", "/v1/models/m/labels/canary", { headers: { "if-match": "*" } });
    const common = { target: "models/m/labels/canary", models: ["m"] };
    const { json } = await get("/v1/audit?model=m&limit=3");
    expect(json).toMatchObject([
      {
        ...common,
        actor: "admin token",
        action: "label.delete",
        before: { version: 2 },
        after: null,
      },
      { ...common, actor: "ada (admin token)", before: { version: 1 }, after: { version: 2 } },
      { ...common, action: "label.put", before: null, after: { version: 1 }, catalog: 2 },
    ]);
    const [{ seq }] = json as [{ seq: number }];
    expect((await get(`/v1/audit?before=${seq}&limit=1`)).json).toMatchObject([
      { after: { version: 2 } },
    ]);
  });

  it("are made, and said to be, even when the audit log can't be reached", async () => {
    const errors: string[] = [];
    const broken = controlOf({
      audit: {
        append: () => Promise.reject(new Error("away")),
        list: () => Promise.resolve([]),
        catalogsFrom: () => Promise.resolve([]),
      },
      log: { warn() {}, error: (event) => void errors.push(event) },
    });
    const { status } = await broken.ask("PUT", "/v1/models/m/labels/stable", {
      body: { version: 2 },
      headers: { "if-match": "*" },
    });
    expect(status).toBe(200);
    expect(errors).toEqual(["audit_failed"]);
    expect((await get("/v1/models/m/labels/stable")).json).toEqual({ version: 2 });
  });
});
