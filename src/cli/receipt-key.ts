import path from "node:path";

import { generateReceiptKey } from "../billing/receipt.ts";
import { keptSecret } from "./kept-secret.ts";

/** Where the local stack keeps what signs its receipts, for its owner's eyes only. */
export function receiptKeyFile(stateFolder: string): string {
  return path.join(stateFolder, "receipt-key.json");
}

/** The secret RECEIPT_KEY: a private JWK (Ed25519), another one each time. */
export async function newReceiptKey(now: number = Date.now()): Promise<string> {
  const seconds = Math.floor(now / 1_000);
  return JSON.stringify(await generateReceiptKey(`local-${seconds}`, seconds));
}

/** The key of a state folder, made when there is none: its receipts can be checked until `--fresh`. */
export function keptReceiptKey(stateFolder: string): Promise<string> {
  return keptSecret(receiptKeyFile(stateFolder), newReceiptKey);
}
