import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";

import { hashKey, parseKey } from "../../../src/accounts/key.ts";
import { type KeyRecord, keyRecordKey } from "../../../src/accounts/key-record.ts";
import { ANY, CREATE, ledgerOf, newAccount } from "../../support/accounts.ts";
import { controlOf, publishModels } from "../../support/control.ts";

const logged: unknown[] = [];
const NOW = Date.UTC(2026, 10, 24, 12);
const clock = { now: NOW };
const control = controlOf({
  now: () => clock.now,
  log: {
    warn: (...words) => void logged.push(words),
    error: (...words) => void logged.push(words),
  },
});
const { ask, get } = control;

type Issued = KeyRecord & { key: string };

let account = "";
let keys = "";
beforeAll(async () => {
  await publishModels({ m: [1] });
  account = await newAccount(control);
  keys = `/v1/accounts/${account}/keys`;
});

const make = async (body: object = {}): Promise<Issued> => {
  const made = await ask("POST", keys, { body: { name: "k", ...body }, headers: CREATE });
  expect(made.status).toBe(201);
  return made.json as Issued;
};
const inKv = async (key: string) => env.KEYS.get(keyRecordKey(await hashKey(key)), "json");

describe("keys", () => {
  it("are told once, and known by their hash alone", async () => {
    const { key, ...record } = await make({ scopes: ["predict"], models: ["m"] });
    expect(parseKey(key)).toEqual({ ok: true, kind: "live" });
    expect(await inKv(key)).toEqual(record);
    expect((await get(keys)).json).toContainEqual(record);
    expect((await get(`${keys}/${record.id}`)).json).toEqual(record);
    const stored = await runInDurableObject(ledgerOf(account), (_, { storage }) =>
      JSON.stringify(storage.sql.exec("SELECT * FROM account_keys").toArray()),
    );
    const told = JSON.stringify((await get("/v1/audit?limit=200")).json);
    for (const text of [stored, told, JSON.stringify(logged)]) {
      expect(text).not.toContain(key);
      expect(text).not.toContain(key.slice(11, -2));
    }
  });

  it("are rotated with an overlap, and both are shown to the edge", async () => {
    const old = await make({ name: "server", origins: ["https://a.example"] });
    const rotated = await ask("POST", `${keys}/${old.id}/rotate`, {
      body: { overlapSeconds: 60 },
      headers: ANY,
    });
    expect(rotated.status).toBe(201);
    const next = rotated.json as Issued;
    expect(next).toMatchObject({ name: "server", origins: ["https://a.example"] });
    expect(await inKv(old.key)).toMatchObject({
      replacedBy: next.id,
      overlapUntil: NOW + 60_000,
    });
    expect(await inKv(next.key)).toMatchObject({ id: next.id });
    const again = await ask("POST", `${keys}/${old.id}/rotate`, {
      body: { overlapSeconds: 600 },
      headers: ANY,
    });
    expect(again).toMatchObject({ status: 422, json: { code: "invalid_change" } });
  });

  it("are revoked for ever, and stay in the list", async () => {
    const { id, key } = await make();
    const { etag } = await get(`${keys}/${id}`);
    const revoked = await ask("DELETE", `${keys}/${id}`, { headers: { "if-match": etag } });
    expect(revoked).toMatchObject({ status: 200, json: { id, revokedAt: NOW } });
    expect(await inKv(key)).toMatchObject({ revokedAt: NOW });
    clock.now += 1_000;
    const again = await ask("DELETE", `${keys}/${id}`, { headers: ANY });
    expect(again.json).toMatchObject({ revokedAt: NOW });
    clock.now = NOW;
    const { json } = await get(keys);
    expect(json).toContainEqual(expect.objectContaining({ id, revokedAt: NOW }));
    const { json: audit } = await get("/v1/audit?limit=200");
    const told = (audit as { action: string; target: string }[]).filter(
      ({ action, target }) => action === "key.revoke" && target.endsWith(id),
    );
    expect(told.length).toBe(1);
  });

  it("take the ETag of the list or of the key, and no other", async () => {
    const { id } = await make();
    const old = await get(keys);
    await make();
    const stale = { headers: { "if-match": old.etag } };
    expect((await ask("DELETE", `${keys}/${id}`, stale)).status).toBe(412);
    expect((await ask("POST", keys, { body: { name: "k" }, ...stale })).status).toBe(412);
    const fresh = await get(keys);
    const revoked = await ask("DELETE", `${keys}/${id}`, {
      headers: { "if-match": `"other", ${fresh.etag}` },
    });
    expect(revoked.status).toBe(200);
  });

  it("made and revoked by two operators at once are all there", async () => {
    const { id } = await make();
    const results = await Promise.all([
      make({ name: "one" }),
      make({ name: "two" }),
      ask("DELETE", `${keys}/${id}`, { headers: ANY }),
    ]);
    const { json } = await get(keys);
    const names = (json as KeyRecord[]).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["one", "two"]));
    expect(json).toContainEqual(results[2].json);
    expect(await inKv(results[0].key)).not.toBeNull();
    expect(await inKv(results[1].key)).not.toBeNull();
  });

  it("can be tried without being made, rotated or revoked", async () => {
    const { id } = await make();
    const before = await get(keys);
    const tried = await Promise.all([
      ask("POST", `${keys}?dry-run=true`, { body: { name: "k" }, headers: CREATE }),
      ask("DELETE", `${keys}/${id}?dry-run=true`, { headers: ANY }),
      ask("POST", `${keys}/${id}/rotate?dry-run=true`, {
        body: { overlapSeconds: 0 },
        headers: ANY,
      }),
    ]);
    for (const { json } of tried) {
      expect(json).toMatchObject({ dryRun: true });
      expect(json).not.toHaveProperty("key");
    }
    expect((await get(keys)).etag).toBe(before.etag);
  });

  it.each<[string, object, object]>([
    ["no name", { name: "" }, { status: 400, field: "name" }],
    ["no scopes", { scopes: [] }, { status: 400, field: "scopes" }],
    ["an unknown scope", { scopes: ["root"] }, { status: 400 }],
    ["an origin that no browser sends", { origins: ["https://A.example/"] }, { status: 400 }],
    ["an end that is past", { expiresAt: NOW }, { status: 422, field: "expiresAt" }],
    ["a secret of the caller's own", { key: "nsk_live_mine" }, { status: 400, field: "key" }],
  ])("refuse %s", async (_, more, problem) => {
    const { json } = await ask("POST", keys, { body: { name: "k", ...more }, headers: CREATE });
    expect(json).toMatchObject(problem);
  });

  it("of another account are not there", async () => {
    const { id } = await make();
    const other = await newAccount(control);
    const path = `/v1/accounts/${other}/keys/${id}`;
    expect((await get(path)).status).toBe(404);
    expect((await ask("DELETE", path, { headers: ANY })).status).toBe(404);
  });
});
