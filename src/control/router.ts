import { type IRequest, Router } from "itty-router";
import * as v from "valibot";

import { NearsideError } from "../errors.ts";
import { decoded } from "../protocol/path.ts";
import { WIRE_FORMS, problemResponse } from "../protocol/problem.ts";
import { actorOf } from "./authenticate.ts";
import type { ControlContext } from "./context.ts";
import { check, readJson } from "./input.ts";
import { preconditionOf } from "./precondition.ts";
import type { Route } from "./route.ts";
import { ROUTES } from "./routes/index.ts";

const FORM = { openInference: false };

/** A change that was misspelt into a real one would be a pity: a query has nothing in it that is not known. */
const NO_QUERY = v.strictObject({});
const SAID = v.optional(v.picklist(["true", "false"]));
const CHANGE_QUERY = v.strictObject({ "dry-run": SAID });
const FORCED_QUERY = v.strictObject({ "dry-run": SAID, force: SAID });

export const router = Router<IRequest & Request, [ControlContext], Response>({
  catch: (error: unknown, _, context) => {
    if (!(error instanceof NearsideError) || WIRE_FORMS[error.code].status >= 500) {
      context.log.error("control_failed", error, { requestId: context.requestId });
    }
    const response = problemResponse(error, context.requestId, FORM);
    if (response.status === 401) response.headers.set("www-authenticate", "Bearer");
    return response;
  },
});

for (const known of ROUTES) {
  const handler = (request: IRequest & Request, context: ControlContext): Promise<Response> =>
    answer(known, request, context);
  if (known.method === "GET") router.get(known.path, handler).head(known.path, handler);
  else if (known.method === "POST") router.post(known.path, handler);
  else if (known.method === "PUT") router.put(known.path, handler);
  else router.delete(known.path, handler);
}
router.all("*", refuseMethod);

/** Answers one request to the control plane. Never throws. */
export async function route(request: Request, context: ControlContext): Promise<Response> {
  const response = await router.fetch(request as IRequest & Request, context);
  response.headers.set("x-request-id", context.requestId);
  if (!response.headers.has("cache-control")) response.headers.set("cache-control", "no-store");
  return request.method === "HEAD" ? new Response(null, response) : response;
}

/** Who asks, then whether the request is well formed, then what it is about. */
async function answer(
  known: Route,
  request: IRequest & Request,
  context: ControlContext,
): Promise<Response> {
  const isOpen = !known.changes && known.isOpen === true;
  const actor = isOpen ? "" : await actorOf(request, context);
  const params = Object.fromEntries(
    Object.entries(request.params as Record<string, string>).map(([name, part]) => [
      name,
      decoded(part),
    ]),
  );
  const words = queryOf(new URL(request.url).searchParams);
  if (!known.changes) {
    const query = check<unknown>(known.query ?? NO_QUERY, words, "query");
    const body = known.body && check(known.body, await readJson(request), "body");
    return known.handle(context, { request, params, query, body, actor });
  }
  const query: v.InferOutput<typeof FORCED_QUERY> = check(
    known.takesForce ? FORCED_QUERY : CHANGE_QUERY,
    words,
    "query",
  );
  const precondition = preconditionOf(request);
  const body = known.body && check(known.body, await readJson(request), "body");
  const dryRun = query["dry-run"] === "true";
  const force = query.force === "true";
  const call = { request, params, query, body, actor, precondition, dryRun, force };
  return known.handle(context, call);
}

/** @throws NearsideError `invalid_request` for a parameter that stands there twice: one of the two would be ignored */
function queryOf(parameters: URLSearchParams): Record<string, string> {
  for (const name of parameters.keys()) {
    if (parameters.getAll(name).length > 1) {
      throw new NearsideError("invalid_request", `The query says "${name}" twice.`, {
        field: name,
      });
    }
  }
  return Object.fromEntries(parameters);
}

function refuseMethod(request: Request, context: ControlContext): Response {
  const { pathname } = new URL(request.url);
  const methods = router.routes
    .filter(([, pattern, , path]) => path !== "*" && pattern.test(pathname))
    .map(([method]) => method);
  if (methods.length === 0) {
    throw new NearsideError("route_not_found", `There is nothing at ${pathname}.`);
  }
  const allowed = [...new Set(methods)].join(", ");
  const error = new NearsideError(
    "method_not_allowed",
    `${pathname} takes ${allowed}, not ${request.method}.`,
  );
  const response = problemResponse(error, context.requestId, FORM);
  response.headers.set("allow", allowed);
  return response;
}
