import { type IRequest, Router } from "itty-router";

import type { Context } from "../context.ts";
import { NearsideError } from "../errors.ts";
import type { Target } from "../routing/choose.ts";
import { allowAnyOrigin, optionsResponse } from "./cors.ts";
import * as openInference from "./open-inference/routes.ts";
import { postPredict } from "./predict.ts";
import { problemResponse } from "./problem.ts";

type Handler = (request: IRequest & Request, context: Context) => Response | Promise<Response>;

const router = Router<IRequest & Request, [Context], Response>({
  catch: (error: unknown, request, context) => {
    if (!(error instanceof NearsideError) || error.cause !== undefined) {
      context.log.error("request_failed", error, { requestId: context.requestId });
    }
    return problemResponse(error, context.requestId, {
      openInference: new URL(request.url).pathname.startsWith("/v2"),
    });
  },
});

const get = (path: string, handler: Handler): void => {
  router.get(path, handler);
  router.head(path, handler);
};
const post = (path: string, handler: Handler): void => {
  router.post(path, handler);
};

get("/", () => Response.json({ name: "nearside", documentation: "https://nearside.dev/docs" }));
post("/v1/predict/:model", (request, context) => postPredict(context, target(request), request));
post("/v1/predict/:model/versions/:version", (request, context) =>
  postPredict(context, target(request), request),
);

get("/v2", openInference.getServer);
get("/v2/health/live", openInference.getLive);
get("/v2/health/ready", (_, context) => openInference.getReady(context));
for (const model of ["/v2/models/:model", "/v2/models/:model/versions/:version"]) {
  get(model, (request, context) => openInference.getModel(context, target(request)));
  get(`${model}/ready`, (request, context) =>
    openInference.getModelReady(context, target(request)),
  );
  post(`${model}/infer`, (request, context) =>
    openInference.postInfer(context, target(request), request),
  );
}

router.options("*", (request) => optionsResponse(request, allowedMethods(request)));
router.all("*", (request, context) => refuseMethod(request, context));

/** Routes a request and gives its answer what every answer has. Never throws. */
export async function route(request: Request, context: Context): Promise<Response> {
  const response = await router.fetch(request as IRequest & Request, context);
  const { headers } = response;
  allowAnyOrigin(headers);
  headers.set("x-request-id", context.requestId);
  const timing = String(context.timing);
  if (timing !== "") headers.set("server-timing", timing);
  return request.method === "HEAD" ? new Response(null, response) : response;
}

function target({ params }: IRequest): Target {
  return { model: params["model"] ?? "", version: params["version"] };
}

/** @throws NearsideError `route_not_found` when no method leads anywhere */
function allowedMethods(request: Request): string[] {
  const { pathname } = new URL(request.url);
  const methods = router.routes
    .filter(
      ([method, pattern, , path]) => method !== "ALL" && path !== "*" && pattern.test(pathname),
    )
    .map(([method]) => method);
  if (methods.length === 0) {
    throw new NearsideError("route_not_found", `There is nothing at ${pathname}.`);
  }
  return [...new Set([...methods, "OPTIONS"])];
}

function refuseMethod(request: Request, context: Context): Response {
  const methods = allowedMethods(request);
  const error = new NearsideError(
    "method_not_allowed",
    `${new URL(request.url).pathname} takes ${methods.join(", ")}, not ${request.method}.`,
  );
  const response = problemResponse(error, context.requestId, {
    openInference: new URL(request.url).pathname.startsWith("/v2"),
  });
  response.headers.set("allow", methods.join(", "));
  return response;
}
