import { userInfo } from "node:os";

import { type Announcement, readAnnouncement } from "../bridge/announcement.ts";
import { answers } from "../bridge/client.ts";
import { stateFolderInUse } from "../state-folder.ts";
import { gettingReady, holderOf, START_COMMAND } from "../state-lock.ts";
import { UserError } from "../user-error.ts";
import { connectControl, type ControlClient } from "./control-client.ts";

export interface ControlOptions {
  readonly remote: boolean;
  readonly stateFolder?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/**
 * The control plane of the running `npm start`, else the one that the environment names; with `remote` only
 * that one.
 *
 * @throws UserError when there is neither
 */
export async function openControl({
  remote,
  stateFolder = stateFolderInUse(),
  env = process.env,
}: ControlOptions): Promise<ControlClient> {
  const running = remote ? undefined : await readAnnouncement(stateFolder);
  const actor = actorOf(env);
  if (running !== undefined && isControl(running) && (await answers(running))) {
    return connectControl({ url: running.controlUrl, token: running.adminToken, actor });
  }
  const url = env["NEARSIDE_CONTROL_URL"]?.trim();
  const token = env["NEARSIDE_ADMIN_TOKEN"]?.trim();
  if (url && token)
    return connectControl({ url: checkedUrl("NEARSIDE_CONTROL_URL", url), token, actor });
  if (url) throw new UserError("NEARSIDE_CONTROL_URL needs NEARSIDE_ADMIN_TOKEN beside it.");
  if (remote) {
    throw new UserError(
      "--remote needs NEARSIDE_CONTROL_URL, the address of your control Worker, and NEARSIDE_ADMIN_TOKEN, its secret.",
    );
  }
  const holder = await holderOf(stateFolder);
  if (holder?.command === START_COMMAND) throw gettingReady(holder);
  throw new UserError(
    "Nothing answers for the control plane: run `npm start`, or set NEARSIDE_CONTROL_URL and NEARSIDE_ADMIN_TOKEN.",
  );
}

/**
 * The edge of the running `npm start`, else the one that NEARSIDE_EDGE_URL names; with `remote` only that one.
 *
 * @throws UserError when there is neither
 */
export async function findEdge({
  remote,
  stateFolder = stateFolderInUse(),
  env = process.env,
}: ControlOptions): Promise<string> {
  const running = remote ? undefined : await readAnnouncement(stateFolder);
  if (running?.edgeUrl !== undefined && (await answers(running))) return running.edgeUrl;
  const url = env["NEARSIDE_EDGE_URL"]?.trim();
  if (url) return checkedUrl("NEARSIDE_EDGE_URL", url).replace(/\/+$/, "");
  throw new UserError(
    remote
      ? "--remote needs NEARSIDE_EDGE_URL, the address of your edge Worker."
      : "No edge answers: run `npm start`, or set NEARSIDE_EDGE_URL.",
  );
}

function isControl(
  running: Announcement,
): running is Announcement & { controlUrl: string; adminToken: string } {
  return running.controlUrl !== undefined && running.adminToken !== undefined;
}

function checkedUrl(variable: string, url: string): string {
  if (/^https?:$/.test(URL.parse(url)?.protocol ?? "")) return url;
  throw new UserError(`${variable} is no address: "${url}". It looks like https://….`);
}

const ACTOR = /^[\x21-\x7e](?:[\x20-\x7e]{0,62}[\x21-\x7e])?$/;

/** Who the audit log names. @throws UserError for a NEARSIDE_ACTOR that no header can carry */
function actorOf(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const given = env["NEARSIDE_ACTOR"];
  if (given) {
    if (ACTOR.test(given)) return given;
    throw new UserError("NEARSIDE_ACTOR takes 1 to 64 printable characters of ASCII.");
  }
  const name = systemUser();
  return ACTOR.test(name) ? name : undefined;
}

function systemUser(): string {
  try {
    return userInfo().username;
  } catch {
    return "";
  }
}
