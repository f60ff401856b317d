import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

import * as v from "valibot";

import type { ListOptions, PublishTarget, PutConditions } from "../../publish/bucket.ts";
import { HOST } from "../state-folder.ts";
import { type Announcement, announce, withdraw } from "./announcement.ts";

export interface Bridge {
  readonly port: number;
  readonly token: string;
  stop(): Promise<void>;
}

/**
 * Serves the bucket and namespace of a running stack to the command line, which must not open the same
 * files beside it. Loopback only, and only for who can read the token in the state folder.
 *
 * | request                                            | is                                                             |
 * | -------------------------------------------------- | -------------------------------------------------------------- |
 * | `GET /`                                            | who answers: `{"pid"}`                                         |
 * | `HEAD`, `GET /objects?key=`                        | `head`, `get`: the bytes, with their `ETag`; 404 for null      |
 * | `PUT /objects?key=`, `If-Match` or `If-None-Match` | `put`; 412 when the condition does not hold                    |
 * | `GET /list?prefix=&limit=&cursor=`                 | `list`, as JSON                                                |
 * | `POST /delete`                                     | `delete` of the keys in a JSON array                           |
 * | `PUT /values?key=`                                 | the namespace's `put`                                          |
 */
export async function startBridge(
  target: PublishTarget,
  stateFolder: string,
  places: Pick<Announcement, "controlUrl" | "adminToken" | "edgeUrl"> = {},
): Promise<Bridge> {
  const token = randomBytes(32).toString("hex");
  const server = createServer((request, response) => {
    void answer(target, token, request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, HOST, resolve);
  });
  const { port } = server.address() as AddressInfo;
  await announce(stateFolder, { pid: process.pid, port, token, ...places });
  return {
    port,
    token,
    async stop() {
      await withdraw(stateFolder);
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

interface BridgeCall {
  readonly target: PublishTarget;
  readonly query: URLSearchParams;
  readonly request: IncomingMessage;
}

interface BridgeAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: string | Uint8Array;
}

const NO_OBJECT: BridgeAnswer = { status: 404 };
const DONE: BridgeAnswer = { status: 204 };

const ROUTES: Readonly<Record<string, (call: BridgeCall) => Promise<BridgeAnswer>>> = {
  "GET /": async () => json({ pid: process.pid }),

  async "HEAD /objects"({ target, query }) {
    const object = await target.bucket.head(keyOf(query));
    return object === null
      ? NO_OBJECT
      : { status: 200, headers: { "content-length": object.size } };
  },

  async "GET /objects"({ target, query }) {
    const object = await target.bucket.get(keyOf(query));
    if (object === null) return NO_OBJECT;
    const body = new Uint8Array(await object.arrayBuffer());
    return { status: 200, headers: { etag: `"${object.etag}"` }, body };
  },

  async "PUT /objects"({ target, query, request }) {
    const key = keyOf(query);
    const bytes = new Uint8Array(await buffer(request));
    const written = await target.bucket.put(key, bytes, { onlyIf: conditionsOf(request) });
    return written === null ? { status: 412 } : DONE;
  },

  async "GET /list"({ target, query }) {
    return json(await target.bucket.list(listOptionsOf(query)));
  },

  async "POST /delete"({ target, request }) {
    const keys = v.parse(v.array(v.string()), JSON.parse((await buffer(request)).toString()));
    await target.bucket.delete(keys);
    return DONE;
  },

  async "PUT /values"({ target, query, request }) {
    await target.namespace.put(keyOf(query), (await buffer(request)).toString());
    return DONE;
  },
};

async function answer(
  target: PublishTarget,
  token: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { status, headers, body } = await answerOf(target, token, request);
  response.writeHead(status, headers);
  response.end(body);
}

async function answerOf(
  target: PublishTarget,
  token: string,
  request: IncomingMessage,
): Promise<BridgeAnswer> {
  if (!isEqual(request.headers.authorization ?? "", `Bearer ${token}`)) return { status: 401 };
  try {
    const { pathname, searchParams: query } = new URL(`http://${HOST}${request.url}`);
    const route = ROUTES[`${request.method} ${pathname}`];
    if (route === undefined) {
      return { status: 400, body: `there is no ${request.method} ${pathname}` };
    }
    return await route({ target, query, request });
  } catch (error) {
    return { status: 500, body: error instanceof Error ? error.message : String(error) };
  }
}

function json(value: unknown): BridgeAnswer {
  const headers = { "content-type": "application/json" };
  return { status: 200, headers, body: JSON.stringify(value) };
}

function keyOf(query: URLSearchParams): string {
  const key = query.get("key");
  if (!key) throw new Error("the request names no key");
  return key;
}

function listOptionsOf(query: URLSearchParams): ListOptions {
  const [prefix, limit, cursor] = ["prefix", "limit", "cursor"].map((name) => query.get(name));
  return {
    ...(prefix && { prefix }),
    ...(limit && { limit: Number(limit) }),
    ...(cursor && { cursor }),
  };
}

function conditionsOf({ headers }: IncomingMessage): PutConditions {
  const matches = headers["if-match"];
  const doesNotMatch = headers["if-none-match"];
  return {
    ...(matches !== undefined && { etagMatches: unquoted(matches) }),
    ...(doesNotMatch !== undefined && { etagDoesNotMatch: unquoted(doesNotMatch) }),
  };
}

const unquoted = (etag: string): string => etag.replaceAll('"', "");

/** Takes as long whatever the guess, its length too. */
function isEqual(seen: string, wanted: string): boolean {
  return timingSafeEqual(sha256(seen), sha256(wanted));
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
