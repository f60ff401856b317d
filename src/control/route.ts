import type * as v from "valibot";

import type { ErrorCode } from "../errors.ts";
import type { ControlContext } from "./context.ts";
import { etagOf, type Precondition } from "./precondition.ts";

/** A request whose every part has been checked. */
export interface Call<B = unknown, Q = unknown> {
  readonly request: Request;
  /** Parts of the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Q;
  readonly body: B;
  readonly actor: string;
}

/** A call that changes something. */
export interface ChangingCall<B = unknown, Q = unknown> extends Call<B, Q> {
  readonly precondition: Precondition;
  /** Only tell what would change. */
  readonly dryRun: boolean;
  /** What looks like a slip is meant (`?force=true`, where the route takes it). */
  readonly force: boolean;
}

interface Described {
  /** `/v1/models/:model` */
  readonly path: string;
  /** One sentence, for the OpenAPI document. */
  readonly summary: string;
  /** What a success answers. */
  readonly answers: string;
  /** Reasons to refuse, beside those that every route has. */
  readonly errors: readonly ErrorCode[];
}

/** A route that changes nothing. */
export interface ReadRoute<B = unknown, Q = unknown> extends Described {
  readonly changes: false;
  readonly method: "GET" | "POST";
  /** For everybody: no credentials. */
  readonly isOpen?: boolean;
  /** Of the answer, where that is no JSON. */
  readonly mediaType?: string;
  readonly body?: v.GenericSchema<unknown, B>;
  readonly query?: v.GenericSchema<unknown, Q>;
  handle(context: ControlContext, call: Call<B, Q>): Promise<Response> | Response;
}

/** A route that changes something: it takes a precondition, and `?dry-run=true`. */
export interface ChangeRoute<B = unknown> extends Described {
  readonly changes: true;
  readonly method: "PUT" | "POST" | "DELETE";
  readonly body?: v.GenericSchema<unknown, B>;
  /** 200 when absent. */
  readonly status?: 201;
  readonly takesForce?: true;
  handle(context: ControlContext, call: ChangingCall<B>): Promise<Response>;
}

export type Route = ReadRoute | ChangeRoute;

/** A route that reads, with the types that its schemas give its call. */
export function read<B = undefined, Q = object>(
  route: Omit<ReadRoute<B, Q>, "changes" | "method"> & { method?: "POST" },
): Route {
  return { method: "GET", ...route, changes: false };
}

/** A route that changes, with the type that its schema gives its call. */
export function change<B = undefined>(route: Omit<ChangeRoute<B>, "changes">): Route {
  return { ...route, changes: true };
}

/** The answer of a GET of something that can be changed. */
export async function entity(value: unknown): Promise<Response> {
  return Response.json(value, { headers: { etag: await etagOf(value) } });
}
