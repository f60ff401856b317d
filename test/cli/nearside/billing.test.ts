import { writeFile } from "node:fs/promises";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";

import { bundleWorkers, type LocalStack, startLocalStack } from "../../../src/cli/local-stack.ts";
import { publishFolder } from "../../../src/publish/publish.ts";
import { prepareRuntime } from "../../../src/publish/runtime.ts";
import { ROOT } from "../../../src/publish/workspace.ts";
import { sayTo, type TemporaryFolder, temporaryFolder } from "../support.ts";

/** Events travel by a queue that waits for a second. */
const ARRIVAL = { timeout: 15_000, interval: 200 };

let temporary: TemporaryFolder;
let stack: LocalStack;
beforeAll(async () => {
  temporary = await temporaryFolder();
  await prepareRuntime();
  await bundleWorkers();
  stack = await startLocalStack({ edgePort: 0, rateLimits: true });
  await publishFolder(path.join(ROOT, "models/iris"), stack.target, () => {}, { replace: true });
  // The edge keeps the catalog that it reads with the first request for a while.
  await done("price", "add", "iris-1", "iris", "--request", "0.00001", "--from", "2026-01-01");
});
afterAll(async () => {
  await stack?.stop();
  await temporary?.remove();
});

async function say(...words: string[]) {
  const env = { NEARSIDE_CONTROL_URL: stack.controlUrl, NEARSIDE_ADMIN_TOKEN: stack.adminToken };
  return sayTo(env, words, { edge: async () => stack.edgeUrl });
}

async function done(...words: string[]): Promise<string> {
  const { out, err, exitCode } = await say(...words);
  expect([words, exitCode, err]).toEqual([words, 0, ""]);
  return out;
}

const json = async <T>(...words: string[]): Promise<T> =>
  JSON.parse(await done(...words, "--json")) as T;

async function account(...options: string[]): Promise<string> {
  return (await json<{ id: string }>("account", "create", "Ada Ltd", ...options)).id;
}

const keyOf = (id: string) => json<{ id: string; key: string }>("key", "create", id, "backend");

const ask = (key?: string) =>
  fetch(`${stack.edgeUrl}/v1/predict/iris`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
    },
    body: '{"inputs":[5.1,3.5,1.4,0.2]}',
  });

describe("the local stack", () => {
  it("answers who shows no key, for nothing and without a receipt", async () => {
    const response = await ask();
    expect([response.status, response.headers.get("nearside-receipt")]).toEqual([200, null]);
  });

  it("limits rates as the edge does where it is deployed", async () => {
    expect((await ask()).headers.get("ratelimit-policy")).toMatch(/^"burst";q=\d+;w=10$/);
  });

  it("bills who shows a key, and proves it from the price to the receipt", async () => {
    const id = await account();
    await done("credit", id, "25", "--id", "payment-1");
    await done("credit", id, "25", "--id", "payment-1");
    const { key } = await keyOf(id);
    const { headers } = await ask(key);
    expect(headers.get("nearside-cost")).toMatch(/^10000\b/);
    await vi.waitFor(async () => {
      const { rows } = await json<{ rows: unknown[] }>("usage", id, "--by", "model,placement");
      expect(rows).toEqual([
        expect.objectContaining({ model: "iris", placement: "edge", requests: 1, amount: 10_000 }),
      ]);
    }, ARRIVAL);
    const statement = path.join(temporary.folder, "statement.json");
    await done("statement", id, "--out", statement);
    const receipts = path.join(temporary.folder, "receipts.txt");
    await writeFile(receipts, headers.get("nearside-receipt") ?? "");
    expect(await done("receipt", "verify", receipts, "--statement", statement)).toContain(
      "The receipt holds.\nThey are all of the statement's usage, to the nano-dollar.\n",
    );
    expect(await done("statement", id)).toContain("  closing balance   $24.99999\n");
    expect(await done("account", "show", id)).toContain("  balance     $24.99999");
  });

  it("changes an account only as it was seen, and refuses what can't be", async () => {
    const id = await account("--billing", "postpaid", "--month-limit", "0.5");
    await done("account", "set", id, "--month-limit", "off", "--models", "iris", "--suspend");
    expect(await json("account", "show", id)).toMatchObject({
      billing: "postpaid",
      limits: {},
      models: ["iris"],
      status: "suspended",
    });
    const refused = await say("account", "set", id, "--billing", "never");
    expect([refused.exitCode, refused.err]).toEqual([1, expect.stringContaining("billing")]);
    const again = await say("price", "add", "iris-1", "iris", "--request", "9");
    expect(again.err).toContain("a price never changes");
    expect((await say("account", "show", "acc_none")).err).toContain("`npx nearside account list`");
  });

  it("rotates and revokes keys, and never shows one again", async () => {
    const id = await account();
    const { id: old, key } = await keyOf(id);
    const rotated = await json<{ id: string; key: string }>("key", "rotate", id, old);
    expect(rotated.key).toMatch(/^nsk_live_/);
    await done("key", "revoke", id, rotated.id);
    const list = await done("key", "list", id, "--json");
    expect(list).not.toContain(key);
    expect(list).not.toContain(rotated.key);
    expect(JSON.parse(list)).toEqual([
      expect.objectContaining({ id: old, replacedBy: rotated.id }),
      expect.objectContaining({ id: rotated.id, revokedAt: expect.any(Number) }),
    ]);
    // Nobody has shown it before, so no isolate remembers it.
    expect((await ask(rotated.key)).status).toBe(401);
    expect((await say("key", "rotate", id, rotated.id)).err).toContain("revoked");
    expect((await say("key", "revoke", id, "key_none")).err).toContain(
      `\`npx nearside key list <account>\` lists them.`,
    );
  });
});
