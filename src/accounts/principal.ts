import type { Account } from "./account.ts";
import { AuthError } from "./auth-error.ts";
import type { KeyKind } from "./key.ts";
import type { Scope } from "./key-record.ts";

/** Who asks, and within which bounds. */
export interface Principal {
  readonly account: Account;
  /** `key_…`; for a client token, `signer:` and the kid of the key that signed it. */
  readonly keyId: string;
  readonly kind: KeyKind;
  readonly scopes: readonly Scope[];
  /** What both the account and the key allow; all models when absent. */
  readonly models?: readonly string[];
  /** Of a client token: the user it was minted for, the targeting key of flags. */
  readonly user?: string;
  /** Of a client token: its `jti`, under which its spending is counted. */
  readonly tokenId?: string;
  /** Of a client token: what all requests that show it may spend together. */
  readonly maxSpendNano?: number;
}

/**
 * Lets an authenticated caller do one thing: first the scope, then the model.
 *
 * @throws AuthError `key_scope`, `model_not_allowed`
 */
export function authorize(
  principal: Principal,
  { scope, model }: { readonly scope: Scope; readonly model?: string },
): void {
  if (!principal.scopes.includes(scope)) {
    throw new AuthError("key_scope", `This needs a key with the scope "${scope}".`, {
      field: "authorization",
    });
  }
  if (model !== undefined && principal.models !== undefined && !principal.models.includes(model)) {
    throw new AuthError("model_not_allowed", "The key may not use this model.", { field: "model" });
  }
}

/** What both lists allow; an absent list allows everything. */
export function commonModels(
  a: readonly string[] | undefined,
  b: readonly string[] | undefined,
): readonly string[] | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.filter((model) => b.includes(model));
}
