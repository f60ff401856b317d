import * as v from "valibot";

import type { BucketPage, PublishBucket, PublishTarget } from "../../publish/bucket.ts";
import { HOST } from "../state-folder.ts";
import { UserError } from "../user-error.ts";
import type { Announcement } from "./announcement.ts";

/** A stack that takes longer to say who it is counts as gone, or too busy to be used. */
const HELLO_TIMEOUT_MS = 2_000;

const Hello = v.object({ pid: v.number() });

const Page = v.intersect([
  v.object({
    objects: v.array(
      v.object({
        key: v.string(),
        size: v.number(),
        uploaded: v.pipe(
          v.string(),
          v.transform((text) => new Date(text)),
        ),
      }),
    ),
  }),
  v.variant("truncated", [
    v.object({ truncated: v.literal(true), cursor: v.string() }),
    v.object({ truncated: v.literal(false) }),
  ]),
]);

/** @returns whether the process that announced itself answers: a file can outlive who wrote it */
export async function answers(announcement: Announcement): Promise<boolean> {
  try {
    const response = await fetch(`http://${HOST}:${announcement.port}/`, {
      headers: authorization(announcement),
      signal: AbortSignal.timeout(HELLO_TIMEOUT_MS),
    });
    return response.ok && v.parse(Hello, await response.json()).pid === announcement.pid;
  } catch {
    return false;
  }
}

/** The bucket and namespace of the stack that `announcement` names. */
export function connectBridge(announcement: Announcement): PublishTarget {
  const call = callerOf(announcement);
  return {
    bucket: bridgedBucket(call),
    namespace: {
      async put(key, value) {
        await call("PUT", "/values", { key }, { body: value });
      },
    },
  };
}

function bridgedBucket(call: Call): PublishBucket {
  return {
    async head(key) {
      const response = await call("HEAD", "/objects", { key });
      if (response.status === 404) return null;
      return { size: Number(response.headers.get("content-length")) };
    },

    async get(key) {
      const response = await call("GET", "/objects", { key });
      if (response.status === 404) return null;
      return {
        etag: (response.headers.get("etag") ?? "").replaceAll('"', ""),
        text: () => response.text(),
        arrayBuffer: () => response.arrayBuffer(),
      };
    },

    async put(key, value, { onlyIf: { etagMatches, etagDoesNotMatch } = {} } = {}) {
      const headers = {
        ...(etagMatches !== undefined && { "if-match": quoted(etagMatches) }),
        ...(etagDoesNotMatch !== undefined && { "if-none-match": quoted(etagDoesNotMatch) }),
      };
      const response = await call("PUT", "/objects", { key }, { body: value, headers });
      return response.status === 412 ? null : { key };
    },

    async list({ prefix = "", limit, cursor = "" } = {}): Promise<BucketPage> {
      const query = { prefix, cursor, limit: limit === undefined ? "" : String(limit) };
      return v.parse(Page, await (await call("GET", "/list", query)).json());
    },

    async delete(keys) {
      await call("POST", "/delete", {}, { body: JSON.stringify([keys].flat()) });
    },
  };
}

interface Sent {
  readonly body?: Uint8Array | string;
  readonly headers?: Readonly<Record<string, string>>;
}

type Call = (
  method: string,
  path: string,
  query: Readonly<Record<string, string>>,
  sent?: Sent,
) => Promise<Response>;

/** Statuses that are an answer; any other is a failure. */
const ANSWERS = new Set([200, 204, 404, 412]);

function callerOf(announcement: Announcement): Call {
  return async (method, path, query, { body, headers } = {}) => {
    const url = `http://${HOST}:${announcement.port}${path}?${new URLSearchParams(query)}`;
    let response: Response;
    try {
      response = await fetch(url, {
        method,
        headers: { ...authorization(announcement), ...headers },
        ...(body !== undefined && { body }),
      });
    } catch (cause) {
      throw new UserError(
        "The local stack (`npm start`) stopped answering. What was done before this is kept; run it again.",
        { cause },
      );
    }
    if (ANSWERS.has(response.status)) return response;
    const said = (await response.text()) || `status ${response.status}`;
    throw new Error(`The local stack could not ${method} ${path}: ${said}`);
  };
}

const authorization = ({ token }: Announcement) => ({ authorization: `Bearer ${token}` });

const quoted = (etag: string): string => (etag === "*" ? etag : `"${etag}"`);
