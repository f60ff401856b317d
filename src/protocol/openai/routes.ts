import type { Units } from "../../billing/meter.ts";
import type { Context } from "../../context.ts";
import { NearsideError } from "../../errors.ts";
import { callOrigin, type OriginCaller } from "../../origin/call-origin.ts";
import { type Placed, placeUnread } from "../../routing/placement.ts";
import { countFailure, type Decided, decide, routeOf, stamp } from "../decide.ts";
import { passThrough } from "../pass-through.ts";
import { type Forwarded, notesOf } from "../run.ts";
import { bodyForPool, isObject, type OpenAiRequest, readOpenAiRequest } from "./request.ts";
import { unitsOf, UsageFilter } from "./usage.ts";

/** What a pool's servers offer below their address. */
export type OpenAiPath = "v1/chat/completions" | "v1/completions" | "v1/embeddings";

/** An answer that is not streamed: a context of 128 thousand tokens, and what engines tell beside it. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/** `POST /v1/chat/completions` and its like: for models whose pool speaks OpenAI's API, passed on. */
export async function postOpenAi(
  context: Context,
  path: OpenAiPath,
  request: Request,
): Promise<Response> {
  const { timing } = context;
  const asked = await timing.measure("decode", () => readOpenAiRequest(request));
  const decided = await decide(context, { model: asked.model }, request, "openai");
  const { meter, manifest } = decided;
  try {
    meter.inputReady();
    const { origin, placed } = placeInPool(decided);
    meter.placed(placed);
    const body = bodyForPool(asked, origin.route.model ?? manifest.name);
    if (body.length > origin.route.limits.maxBodyBytes) {
      throw new NearsideError(
        "body_too_large",
        `The body may have ${origin.route.limits.maxBodyBytes} bytes at most.`,
      );
    }
    const upstream = await timing.measure("origin", () =>
      callOrigin(origin, {
        path,
        body,
        headers: {
          "content-type": "application/json",
          accept: asked.stream ? "text/event-stream" : "application/json",
        },
      }),
    );
    const { response, units, ended } = await forwarded(upstream, asked, origin.signal);
    stamp(response, decided, placed);
    for (const [name, value] of Object.entries(notesOf(upstream.headers))) {
      response.headers.set(name, value);
    }
    if (ended === undefined) meter.end({ outcome: "ok", status: response.status, units: units() });
    else context.waitUntil(ended.then((end) => meter.end({ ...end, units: units() })));
    return response;
  } catch (error) {
    countFailure(decided, error);
    throw error;
  }
}

/** The pool is the only place for such a request; the rules say why. */
function placeInPool({ manifest, origin, wishes }: Decided): {
  readonly origin: OriginCaller;
  readonly placed: Placed;
} {
  const { name, task } = manifest;
  if (origin === undefined && task.type !== "text-generation") {
    throw new NearsideError("invalid_request", `"${name}" does not speak OpenAI's API.`, {
      field: "model",
    });
  }
  const placed = placeUnread({ ...wishes, hasEdgeBuild: false });
  if (origin === undefined || placed === undefined || placed.placement === "edge") {
    throw new NearsideError(
      "no_edge_build",
      `"${name}" answers this from an origin pool only${origin === undefined ? ", and has none" : ""}.`,
      { field: "model" },
    );
  }
  return { origin, placed };
}

type Passed = Pick<Forwarded, "response" | "ended"> & { units(): Units };

async function forwarded(
  upstream: Response,
  asked: OpenAiRequest,
  signal: AbortSignal,
): Promise<Passed> {
  if (upstream.body === null) {
    throw new NearsideError("origin_failed", "The origin's answer has no body.");
  }
  const isStream = upstream.headers.get("content-type")?.startsWith("text/event-stream") === true;
  if (asked.stream && isStream) {
    const filter = new UsageFilter(asked.wantsUsage);
    const { body, ended } = passThrough(upstream.body, upstream.status, signal, filter);
    const headers = {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
    };
    return { response: new Response(body, { headers }), units: () => filter.units, ended };
  }
  const bytes = await wholeAnswer(upstream);
  const units = unitsOf(bytes.usage);
  const headers = { "content-type": "application/json" };
  return { response: new Response(bytes.bytes, { headers }), units: () => units };
}

async function wholeAnswer(upstream: Response) {
  try {
    const bytes = new Uint8Array(await upstream.arrayBuffer());
    const answer: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (isObject(answer) && bytes.length <= MAX_ANSWER_BYTES) {
      return { bytes, usage: answer["usage"] };
    }
  } catch (cause) {
    throw new NearsideError("origin_failed", "The origin's answer can't be read.", { cause });
  }
  throw new NearsideError("origin_failed", "The origin's answer is not what was asked for.");
}

/** `GET /v1/models`: those that these routes answer. */
export async function getModels(context: Context): Promise<Response> {
  return Response.json({ object: "list", data: await modelsOf(context) });
}

/** `GET /v1/models/{model}` */
export async function getOpenAiModel(context: Context, name: string): Promise<Response> {
  const model = (await modelsOf(context)).find(({ id }) => id === name);
  if (model !== undefined) return Response.json(model);
  throw new NearsideError("model_not_found", `There is no model "${name.slice(0, 64)}" here.`, {
    field: "model",
  });
}

async function modelsOf(context: Context) {
  const catalog = await context.isolate.catalog.get(context);
  return Object.entries(catalog.models).flatMap(([id, { versions, labels, off }]) => {
    const manifest = versions[String(labels["stable"])] ?? Object.values(versions)[0];
    const isServed = off !== true && manifest && routeOf(catalog, manifest, "openai") !== undefined;
    // The catalog does not keep when a model was published, and the API wants a number.
    return isServed ? [{ id, object: "model", created: 0, owned_by: "nearside" }] : [];
  });
}
