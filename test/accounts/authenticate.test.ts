import { describe, expect, it, vi } from "vitest";

import { newId } from "../../src/accounts/account.ts";
import { AUTH_FORMS } from "../../src/accounts/auth-error.ts";
import { authenticate } from "../../src/accounts/authenticate.ts";
import { generateKey } from "../../src/accounts/key.ts";
import { issueKey, rotateKey } from "../../src/accounts/key-record.ts";
import { authorize } from "../../src/accounts/principal.ts";
import { Directory, NOW, acme, forge, mint, withHeaders, withKey } from "./support.ts";

type Refusal = [string, (directory: Directory) => Promise<Request> | Request, string, string];

const suspended = { ...acme, id: newId("acc_"), status: "suspended" } as const;

describe("authenticate", () => {
  it("takes a key as a bearer token or in x-api-key", async () => {
    const directory = new Directory(acme);
    const key = await directory.issue();
    const headers = [
      { authorization: `Bearer ${key}` },
      { authorization: `bearer ${key}` },
      { "x-api-key": key },
      { authorization: "Basic dTpw", "x-api-key": key },
      { authorization: `Bearer ${key}`, "x-api-key": "anything" },
    ];
    for (const each of headers) {
      expect(await authenticate(withHeaders(each), directory)).toEqual({
        account: acme,
        keyId: expect.stringMatching(/^key_/),
        kind: "live",
        scopes: ["predict"],
      });
    }
  });

  it("allows the models that both the account and the key allow", async () => {
    const narrow = { ...acme, models: ["iris", "vad"] };
    const directory = new Directory(narrow);
    const modelsOf = async (models?: string[]) => {
      const key = await directory.issue(models === undefined ? {} : { models });
      return (await authenticate(withKey(key), directory)).models;
    };
    expect(await modelsOf()).toEqual(["iris", "vad"]);
    expect(await modelsOf(["vad", "ocr"])).toEqual(["vad"]);
    expect(await modelsOf(["ocr"])).toEqual([]);
  });

  it.each<Refusal>([
    ["no key", () => withHeaders({}), "key_missing", "authorization"],
    ["another scheme", () => withHeaders({ authorization: "Basic dTpw" }), "key_missing", "auth"],
    [
      "an empty key",
      () => withHeaders({ authorization: "Bearer ", "x-api-key": "" }),
      "key_missing",
      "",
    ],
    ["a typo", () => withKey("nsk_live_typo"), "key_malformed", "authorization"],
    [
      "a typo in x-api-key",
      () => withHeaders({ "x-api-key": "nsk" }),
      "key_malformed",
      "x-api-key",
    ],
    ["a made-up key", () => withKey(generateKey("live")), "key_unknown", "authorization"],
    [
      "a key whose account is gone",
      async (directory) => withKey(await directory.issue({ account: newId("acc_") })),
      "key_unknown",
      "authorization",
    ],
    [
      "a revoked key",
      async (directory) => withKey(await directory.issue({}, { revokedAt: NOW - 1 })),
      "key_revoked",
      "authorization",
    ],
    [
      "an expired key",
      async (directory) => withKey(await directory.issue({ expiresAt: NOW })),
      "key_expired",
      "authorization",
    ],
    [
      "a key from another page",
      async (directory) =>
        withKey(await directory.issue({ origins: ["https://acme.test"] }), {
          origin: "https://evil.test",
        }),
      "origin_not_allowed",
      "origin",
    ],
    [
      "a page's key from no page",
      async (directory) => withKey(await directory.issue({ origins: ["https://acme.test"] })),
      "origin_not_allowed",
      "origin",
    ],
    [
      "a key of a suspended account",
      async (directory) => withKey(await directory.issue({ account: suspended.id })),
      "account_suspended",
      "authorization",
    ],
    [
      "a token of a suspended account",
      async () => withKey(await mint({ account: suspended.id })),
      "account_suspended",
      "authorization",
    ],
    ["a forged token", () => withKey("a.b.c"), "token_invalid", "authorization"],
    [
      "an expired token",
      async () => withHeaders({ "x-api-key": await forge({ claims: { exp: NOW / 1000 - 31 } }) }),
      "token_expired",
      "x-api-key",
    ],
  ])("refuses %s", async (_, make, code, field) => {
    const directory = new Directory(acme, suspended);
    await expect(authenticate(await make(directory), directory)).rejects.toMatchObject({
      name: "AuthError",
      code,
      field: expect.stringContaining(field),
      status: /suspended|not_allowed/.test(code) ? 403 : 401,
    });
  });

  it("never repeats a secret in what it says", async () => {
    const directory = new Directory(acme);
    const key = await directory.issue({}, { revokedAt: NOW });
    for (const shown of [key, generateKey("live"), `${key}x`, await mint({ kid: "gone" })]) {
      const refusal = await authenticate(withKey(shown), directory).catch(String);
      expect(refusal).not.toContain(shown.slice(9, 31));
    }
  });

  it("admits a key from a page on its list", async () => {
    const directory = new Directory(acme);
    const key = await directory.issue({ origins: ["https://*.acme.test"] });
    const request = withKey(key, { origin: "https://app.acme.test" });
    expect(await authenticate(request, directory)).toMatchObject({ account: acme });
  });

  it("admits both keys of a rotation while they overlap, then only the new one", async () => {
    const directory = new Directory(acme);
    const options = { account: acme.id, name: "a", kind: "live", scopes: ["predict"] } as const;
    const old = await issueKey(options, NOW);
    const successor = await issueKey(options, NOW);
    await directory.replace(old.key, rotateKey(old.record, successor.record.id, 1000, NOW));
    await directory.replace(successor.key, successor.record);
    const keyOf = async (key: string) => (await authenticate(withKey(key), directory)).keyId;
    directory.time = NOW + 999;
    expect(await keyOf(old.key)).toBe(old.record.id);
    expect(await keyOf(successor.key)).toBe(successor.record.id);
    directory.time = NOW + 1000;
    await expect(keyOf(old.key)).rejects.toMatchObject({
      code: "key_expired",
      message: expect.stringContaining("replaced"),
    });
    expect(await keyOf(successor.key)).toBe(successor.record.id);
  });

  it("takes the same steps for an unknown, a revoked, an expired and a replaced key", async () => {
    const directory = new Directory(acme);
    const overlap = { replacedBy: newId("key_"), overlapUntil: NOW };
    const keys = [
      generateKey("live"),
      await directory.issue({}, { revokedAt: NOW - 1 }),
      await directory.issue({ expiresAt: NOW - 1 }),
      await directory.issue({}, overlap),
    ];
    const steps = directory.calls;
    const { subtle } = crypto;
    const digest = subtle.digest.bind(subtle);
    const spy = vi.spyOn(subtle, "digest").mockImplementation((algorithm, data) => {
      steps.push(`digest ${data.byteLength}`);
      return digest(algorithm, data);
    });
    const seen = [];
    for (const key of keys) {
      steps.length = 0;
      await expect(authenticate(withKey(key), directory)).rejects.toMatchObject({ status: 401 });
      seen.push([...steps]);
    }
    spy.mockRestore();
    expect(seen).toEqual(keys.map(() => ["digest 37", "lookup"]));
  });

  it("asks nothing of anybody for a key that is malformed", async () => {
    const directory = new Directory(acme);
    await authenticate(withKey("nsk_live_typo"), directory).catch(() => {});
    expect(directory.calls).toEqual([]);
  });

  it("passes on that the directory can't be read: the key is not to blame", async () => {
    const down = new Error("KV is down");
    const directory = new Directory(acme);
    vi.spyOn(directory, "lookup").mockRejectedValue(down);
    await expect(authenticate(withKey(generateKey("live")), directory)).rejects.toBe(down);
    vi.spyOn(directory, "account").mockRejectedValue(down);
    await expect(authenticate(withKey(await mint()), directory)).rejects.toBe(down);
  });
});

describe("authorize", () => {
  const principal = {
    account: acme,
    keyId: newId("key_"),
    kind: "live",
    scopes: ["predict", "usage"],
    models: ["iris"],
  } as const;

  it("lets through what the key may do", () => {
    const { models: _, ...free } = principal;
    expect(() => {
      authorize(principal, { scope: "usage" });
      authorize(principal, { scope: "predict", model: "iris" });
      authorize(free, { scope: "predict", model: "whatever" });
    }).not.toThrow();
  });

  it("refuses the scope before it looks at the model", () => {
    expect(() => authorize(principal, { scope: "override", model: "ocr" })).toThrow(
      expect.objectContaining({ code: "key_scope", status: 403, field: "authorization" }),
    );
    expect(() => authorize(principal, { scope: "predict", model: "ocr" })).toThrow(
      expect.objectContaining({ code: "model_not_allowed", status: 403, field: "model" }),
    );
  });

  it("refuses every model when none is allowed", () => {
    expect(() =>
      authorize({ ...principal, models: [] }, { scope: "predict", model: "iris" }),
    ).toThrow(expect.objectContaining({ code: "model_not_allowed" }));
  });
});

describe("the wire forms", () => {
  it("are 401 for who one is, 403 for what one may", () => {
    for (const { status } of Object.values(AUTH_FORMS)) expect([401, 403]).toContain(status);
  });
});
