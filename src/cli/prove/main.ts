import { UserError } from "../user-error.ts";
import type { Verdict } from "./check.ts";

/** Every proof, by the name of what it proves. */
const PROOFS: Readonly<Record<string, () => Promise<Verdict>>> = {
  billing: async () => (await import("./billing/prove-billing.ts")).proveBilling(),
  clients: async () => (await import("./clients/prove-clients.ts")).proveClients(),
  cold: async () => (await import("./cold/prove-cold.ts")).proveCold(),
  origin: async () => (await import("./origin/prove-origin.ts")).proveOrigin(),
  rollout: async () => (await import("./rollout/prove-rollout.ts")).proveRollout(),
  edge: async () => (await import("./edge/prove-edge.ts")).proveEdge(),
};

/** `npm run prove -- <what>`: checks the claims against the real local stack; the last line is JSON. */
export async function prove(words: readonly string[]): Promise<number> {
  const [name = "", ...rest] = words;
  const proof = PROOFS[name];
  if (proof === undefined || rest.length > 0) {
    throw new UserError(`Usage: npm run prove -- ${Object.keys(PROOFS).join("|")}`);
  }
  const { holds, figures } = await proof();
  console.log(JSON.stringify({ prove: name, holds, figures }));
  return holds ? 0 : 1;
}
