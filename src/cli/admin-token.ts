import { randomBytes } from "node:crypto";
import path from "node:path";

import { keptSecret } from "./kept-secret.ts";

/** Where the local stack keeps its operator's secret, for its owner's eyes only. */
export function adminTokenFile(stateFolder: string): string {
  return path.join(stateFolder, "admin-token");
}

export function randomToken(): string {
  return randomBytes(32).toString("hex");
}

/** The token of a state folder, made when there is none: it stays the same until `--fresh`. */
export function keptAdminToken(stateFolder: string): Promise<string> {
  return keptSecret(adminTokenFile(stateFolder), randomToken);
}
