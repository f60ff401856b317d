import { type IRequest, Router } from "itty-router";

import type { Context } from "../context.ts";
import type { DocsPage } from "../docs/page.ts";
import { getDocs, getDocsFile } from "../docs/serve.ts";
import { NearsideError } from "../errors.ts";
import type { Target } from "../routing/choose.ts";
import { getReceiptKeys, getUsage } from "./account-routes.ts";
import { identify } from "./authenticate.ts";
import { allowAnyOrigin, optionsResponse } from "./cors.ts";
import { postInfer } from "./open-inference/infer.ts";
import { REFUSED, SHARED_MEMORY_STATUS, refuseExtension } from "./open-inference/refused.ts";
import { postIndex, postLoad, postUnload } from "./open-inference/repository.ts";
import * as openInference from "./open-inference/routes.ts";
import { getAllStatistics, getModelStatistics } from "./open-inference/statistics.ts";
import { getModels, getOpenAiModel } from "./openai/models.ts";
import { postOpenAi } from "./openai/routes.ts";
import { edgeDocument, type KnownRoute } from "./openapi/document.ts";
import { documentOnce } from "./openapi/serve.ts";
import { decoded } from "./path.ts";
import { postPredict } from "./predict.ts";
import { type ProblemForm, WIRE_FORMS, formAt, problemResponse } from "./problem.ts";

type Handler = (request: IRequest & Request, context: Context) => Response | Promise<Response>;

const router = Router<IRequest & Request, [Context], Response>({
  catch: (error: unknown, request, context) => {
    if (isOurs(error)) {
      context.log.error("request_failed", error, { requestId: context.requestId });
    }
    return problemResponse(error, context.requestId, formFor(request));
  },
});

const get = (path: string, handler: Handler): void => {
  router.get(path, handler);
  router.head(path, handler);
};
const post = (path: string, handler: Handler): void => {
  router.post(path, handler);
};

get("/", () =>
  Response.json({
    name: "nearside",
    predict: "POST /v1/predict/{model}",
    openAi: "POST /v1/chat/completions",
    openInference: "GET /v2",
    openApi: "GET /openapi.json",
    docs: "GET /docs",
  }),
);
get(
  "/openapi.json",
  documentOnce(() => edgeDocument(knownRoutes())),
);
get("/docs", (request, { isolate }) => getDocs(request, isolate.docs, DOCS_PAGE));
get("/docs/:release/:file", (request, { isolate: { docs } }) => {
  const { release = "", file = "" } = request.params;
  return getDocsFile(request, docs, { release, file });
});
post("/v1/predict/:model", (request, context) => postPredict(context, target(request), request));
post("/v1/predict/:model/versions/:version", (request, context) =>
  postPredict(context, target(request), request),
);

for (const path of ["v1/chat/completions", "v1/completions", "v1/embeddings"] as const) {
  post(`/${path}`, (request, context) => postOpenAi(context, path, request));
}
get("/v1/models", async (request, context) => {
  const principal = await identify(context, request, { scope: "models" });
  return getModels(context, principal?.models);
});
get("/v1/models/:model", async (request, context) => {
  const { model } = target(request);
  await identify(context, request, { scope: "models", model });
  return getOpenAiModel(context, model);
});
get("/v1/usage", (request, context) => getUsage(context, request));
get("/.well-known/jwks.json", (_, context) => getReceiptKeys(context));

get("/v2", (_, context) => openInference.getServer(context));
get("/v2/health/live", openInference.getLive);
get("/v2/health/ready", (_, context) => openInference.getReady(context));
// Before the models: one called "stats" is described by its version's path only.
get("/v2/models/stats", async (request, context) => {
  const principal = await identify(context, request, { scope: "models" });
  return getAllStatistics(context, principal?.models);
});
for (const model of ["/v2/models/:model", "/v2/models/:model/versions/:version"]) {
  get(model, async (request, context) => {
    await identify(context, request, { scope: "models", model: target(request).model });
    return openInference.getModel(context, target(request));
  });
  get(`${model}/ready`, async (request, context) => {
    await identify(context, request, { scope: "predict", model: target(request).model });
    return openInference.getModelReady(context, target(request));
  });
  for (const [path, handler] of [
    ["config", openInference.getModelConfig],
    ["stats", getModelStatistics],
  ] as const) {
    get(`${model}/${path}`, async (request, context) => {
      await identify(context, request, { scope: "models", model: target(request).model });
      return handler(context, target(request));
    });
  }
  post(`${model}/infer`, (request, context) => postInfer(context, target(request), request));
}

post("/v2/repository/index", async (request, context) => {
  const principal = await identify(context, request, { scope: "models" });
  return postIndex(context, request, principal?.models);
});
post("/v2/repository/models/:model/load", (request, context) =>
  postLoad(context, target(request).model, request),
);
post("/v2/repository/models/:model/unload", (request, context) =>
  postUnload(context, target(request).model, request),
);
for (const path of SHARED_MEMORY_STATUS) get(path, () => Response.json([]));
for (const { methods, paths, because } of REFUSED) {
  for (const path of paths) {
    for (const method of methods) {
      (method === "GET" ? get : post)(path, () => refuseExtension(because));
    }
  }
}

router.options("*", (request) => optionsResponse(request, allowedMethods(request)));
router.all("*", (request, context) => refuseMethod(request, context));

const DOCS_PAGE: DocsPage = {
  title: "Nearside: the edge",
  introduction: [
    "Small models, run at the data centre nearest to you: ask them in the words of their task, with tensors, or as OpenAI's clients do.",
    "Each operation can be tried here. Where a key is needed, show it with “Authorize”.",
  ],
};

/** Everything that is routed. HEAD is GET without a body, and not told of. */
export function knownRoutes(): KnownRoute[] {
  return router.routes.flatMap(([method, , , path = ""]) =>
    path === "*" || method === "HEAD" ? [] : [{ method, path: path || "/" }],
  );
}

/** Routes a request and gives its answer what every answer has. Never throws. */
export async function route(request: Request, context: Context): Promise<Response> {
  const { activity } = context.isolate;
  const visit = activity.begin(context.now());
  try {
    return await respond(request, context);
  } finally {
    activity.end(visit, context.now());
  }
}

async function respond(request: Request, context: Context): Promise<Response> {
  const response = URL.canParse(request.url)
    ? await router.fetch(request as IRequest & Request, context)
    : problemResponse(
        new NearsideError("invalid_request", "The Host header is not a host.", { field: "host" }),
        context.requestId,
        { openInference: false },
      );
  const { headers } = response;
  allowAnyOrigin(headers);
  headers.set("x-request-id", context.requestId);
  const { policy } = context.isolate.rates;
  if (policy !== undefined) headers.set("ratelimit-policy", policy);
  const timing = String(context.timing);
  if (timing !== "") headers.set("server-timing", timing);
  return request.method === "HEAD" ? new Response(null, response) : response;
}

function target({ params }: IRequest): Target {
  const { model = "", version } = params;
  return { model: decoded(model), version: version === undefined ? undefined : decoded(version) };
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
  const response = problemResponse(error, context.requestId, formFor(request));
  response.headers.set("allow", methods.join(", "));
  return response;
}

const formFor = (request: Request): ProblemForm => formAt(new URL(request.url).pathname);

/** Worth an operator's attention: what a caller did wrong would let anybody fill the log. */
function isOurs(error: unknown): boolean {
  if (!(error instanceof NearsideError)) return true;
  return error.cause !== undefined && WIRE_FORMS[error.code].status >= 500;
}
