import * as v from "valibot";

import { UserError } from "../user-error.ts";
import { controlErrorOf, ControlError } from "./control-error.ts";
import { when } from "./present.ts";

/** A control plane that has not answered by then is taken for gone. */
const TIMEOUT_MS = 30_000;

/** What the control plane holds, and the ETag that a change of it must show. */
export interface Found<T> {
  readonly value: T;
  readonly etag: string;
}

export interface ControlRequest {
  readonly method?: "GET" | "POST" | "PUT" | "DELETE";
  readonly body?: unknown;
  /** For changes: of what is to be changed; undefined for what must not be there yet. */
  readonly etag?: string | undefined;
  readonly dryRun?: boolean;
  /** An amount that looks like a slip is meant. */
  readonly force?: boolean;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  /** Which model it is about, so that refusals can name it. */
  readonly model?: string;
}

/** The control plane's API. Every method throws ControlError for a refusal, and UserError when nobody answers. */
export interface ControlClient {
  readonly url: string;
  get<T>(
    path: string,
    schema: v.GenericSchema<unknown, T>,
    request?: Pick<ControlRequest, "query" | "model">,
  ): Promise<Found<T>>;
  /** `get`, but undefined where the refusal has this code. */
  find<T>(
    path: string,
    schema: v.GenericSchema<unknown, T>,
    absent: string,
    model?: string,
  ): Promise<Found<T> | undefined>;
  /** What `path` holds, as text of a media type. */
  text(path: string, mediaType: string, request?: Pick<ControlRequest, "query">): Promise<string>;
  /** A request that needs no ETag. */
  ask<T>(path: string, schema: v.GenericSchema<unknown, T>, request: ControlRequest): Promise<T>;
  /** A change: with `If-Match`, or with `If-None-Match: *` where there is no ETag. */
  change<T>(path: string, schema: v.GenericSchema<unknown, T>, request: ControlRequest): Promise<T>;
}

/** One control plane, and one operator. */
export interface Connection {
  readonly url: string;
  readonly token: string;
  readonly actor: string | undefined;
}

/** Talks to one control plane as one operator. */
export function connectControl({ url, token, actor }: Connection): ControlClient {
  const base = url.replace(/\/+$/, "");

  async function send(
    path: string,
    { method = "GET", body, query = {}, dryRun, force, model }: ControlRequest,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Response> {
    const target = new URL(base + path);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) target.searchParams.set(name, String(value));
    }
    if (force) target.searchParams.set("force", "true");
    if (dryRun) target.searchParams.set("dry-run", "true");
    let response: Response;
    try {
      response = await fetch(target, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(actor !== undefined && { "nearside-actor": actor }),
          ...(body !== undefined && { "content-type": "application/json" }),
          ...headers,
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch (cause) {
      throw new UserError(
        `The control plane at ${base} does not answer. Run \`npm start\`, or see that NEARSIDE_CONTROL_URL names it.`,
        { cause },
      );
    }
    if (response.ok) return response;
    throw await controlErrorOf(response, base, model);
  }

  const read = async <T>(response: Response, schema: v.GenericSchema<unknown, T>): Promise<T> => {
    const parsed = v.safeParse(schema, await response.json().catch(() => undefined));
    if (parsed.success) return parsed.output;
    const place = v.getDotPath(parsed.issues[0]);
    throw new UserError(
      `${base} does not answer as this version of Nearside expects${place ? ` (${place})` : ""}. Is it deployed from the same sources?`,
    );
  };

  const client: ControlClient = {
    url: base,
    async get(path, schema, request = {}) {
      const response = await send(path, request);
      return {
        value: await read(response, schema),
        etag: response.headers.get("etag") ?? "*",
      };
    },
    async find(path, schema, absent, model) {
      try {
        return await client.get(path, schema, model === undefined ? {} : { model });
      } catch (error) {
        if (error instanceof ControlError && error.code === absent) return undefined;
        throw error;
      }
    },
    async text(path, mediaType, request = {}) {
      return (await send(path, request, { accept: mediaType })).text();
    },
    async ask(path, schema, request) {
      return read(await send(path, request), schema);
    },
    async change(path, schema, request) {
      const { etag } = request;
      const conditions = etag === undefined ? { "if-none-match": "*" } : { "if-match": etag };
      try {
        return await read(await send(path, request, conditions), schema);
      } catch (error) {
        if (error instanceof ControlError && error.status === 412) {
          throw await withWhoWasFaster(client, error, request.model);
        }
        throw error;
      }
    },
  };
  return client;
}

const LatestEntries = v.array(
  v.object({
    at: v.string(),
    actor: v.string(),
    action: v.string(),
    details: v.optional(v.object({ change: v.optional(v.string()) })),
  }),
);

/** The newest entry of the audit log is whoever came in between. */
async function withWhoWasFaster(
  client: ControlClient,
  error: ControlError,
  model: string | undefined,
): Promise<UserError> {
  try {
    const query = { limit: 1, model };
    const { value } = await client.get("/v1/audit", LatestEntries, { query });
    const [latest] = value;
    if (latest === undefined) return error;
    const did = latest.details?.change ?? latest.action;
    const who = `${latest.actor} was faster (${when(latest.at)}): ${did}.`;
    error.message = `${who}\n${error.message}`;
    return error;
  } catch {
    return error;
  }
}
