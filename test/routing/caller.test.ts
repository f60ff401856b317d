import { describe, expect, it } from "vitest";

import type { Principal } from "../../src/accounts/principal.ts";
import { callerOf } from "../../src/routing/caller.ts";
import { acme } from "../accounts/support.ts";

const principal: Principal = { account: acme, keyId: "key_1", kind: "live", scopes: ["predict"] };

const caller = (
  headers: Record<string, string>,
  more: Partial<Principal> | null = {},
  user?: string,
) =>
  callerOf(new Request("https://edge.test", { headers }), {
    user,
    model: "m",
    adminToken: "the-operators-secret",
    principal: more === null ? undefined : { ...principal, ...more },
  });

describe("a caller", () => {
  it.each<[string, Record<string, string>, Partial<Principal> | null, unknown]>([
    ["the user that is named", { "nearside-user": "ada" }, { user: "eve" }, "ada"],
    ["else the client token's", {}, { user: "eve" }, "eve"],
    ["else the account", {}, {}, acme.id],
    ["else nobody twice", {}, null, expect.stringMatching(/^[0-9a-f-]{36}$/)],
  ])("is told apart by %s", (_, headers, more, key) => {
    expect(caller(headers, more).context.targetingKey).toEqual(key);
  });

  it("is told apart by the user of the body, where the header names none", () => {
    const key = (headers: Record<string, string>) =>
      caller(headers, { user: "eve" }, "bob").context.targetingKey;
    expect(key({})).toBe("bob");
    expect(key({ "nearside-user": "ada" })).toBe("ada");
  });

  it("shows its account and plan to flags", () => {
    expect(caller({}).context).toMatchObject({ account: acme.id, plan: "pay" });
    expect(caller({}, null).context).not.toHaveProperty("account");
  });

  it("may override with a key of that scope alone", () => {
    const override = { "nearside-override": "canary" };
    expect(() => caller(override)).toThrow("Only the operator may choose");
    expect(() => caller(override, null)).toThrow("Only the operator may choose");
    expect(caller(override, { scopes: ["override"] }).override).toBe("canary");
  });
});
