import path from "node:path";

import { GENERATED } from "../publish/workspace.ts";

/** The only address that anything local listens on. */
export const HOST = "127.0.0.1";

/** Where the bucket and namespace of `npm start` live; `NEARSIDE_STATE` names another folder. */
export function stateFolderInUse(): string {
  const other = process.env["NEARSIDE_STATE"];
  return other ? path.resolve(other) : path.join(GENERATED, "state");
}
