import { authorize } from "../../accounts/principal.ts";
import type { Context } from "../../context.ts";
import { NearsideError } from "../../errors.ts";
import { callOrigin, type OriginCaller, OriginRejection } from "../../origin/call-origin.ts";
import { type Placed, placeUnread } from "../../routing/placement.ts";
import { identify, refuseUnpaid } from "../authenticate.ts";
import { type Billed, bill } from "../bill.ts";
import { Charge } from "../charge.ts";
import { countFailure, type Decided, decide, stamp } from "../decide.ts";
import { forwarded, type Whole } from "./forwarded.ts";
import { answerOnce, onceOnly, refuseStream } from "../idempotency.ts";
import { answerIdentified } from "../pipeline.ts";
import { notesOf } from "../run.ts";
import { embeddings, embedsItself } from "./embeddings.ts";
import { checkParameters } from "./parameters.ts";
import { bodyForPool, estimateOf, type OpenAiRequest, readOpenAiRequest } from "./request.ts";
import { answerStream } from "./stream.ts";

/** What a pool's servers offer below their address. */
export type OpenAiPath = "v1/chat/completions" | "v1/completions" | "v1/embeddings";

/**
 * `POST /v1/chat/completions` and its like: for models whose pool speaks OpenAI's API, passed on. Models of
 * embeddings that have no such pool answer `/v1/embeddings` as they answer everything else.
 */
export async function postOpenAi(
  context: Context,
  path: OpenAiPath,
  request: Request,
): Promise<Response> {
  const principal = await identify(context, request, { scope: "predict" });
  const asked = await context.timing.measure("decode", () => readOpenAiRequest(path, request));
  const { model } = asked;
  if (principal !== undefined) authorize(principal, { scope: "predict", model });
  if (path === "v1/embeddings" && embedsItself(await context.isolate.catalog.get(context), model)) {
    const identified = { target: { model }, request, principal, user: asked.user };
    return answerIdentified(context, identified, embeddings(asked));
  }
  const once = await onceOnly(context, request, principal);
  if (asked.stream) refuseStream(once);
  const decided = await decide(context, { model }, request, {
    protocol: "openai",
    principal,
    once,
    user: asked.user,
  });
  refuseUnpaid(context, request, decided);
  try {
    return await answerOnce(context, once, request, asked.bytes, () =>
      answerFromPool(context, path, asked, decided),
    );
  } catch (error) {
    countFailure(decided, error);
    throw error;
  }
}

async function answerFromPool(
  context: Context,
  path: OpenAiPath,
  asked: OpenAiRequest,
  decided: Decided,
): Promise<Response> {
  const { meter, manifest } = decided;
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
  checkParameters(path, asked.body);
  const charge = await Charge.admit(context, decided, estimateOf(asked));
  try {
    const upstream = await context.timing.measure("origin", () =>
      callOrigin(origin, {
        path,
        body,
        headers: {
          "content-type": "application/json",
          accept: asked.stream ? "text/event-stream" : "application/json",
        },
        idempotent: path === "v1/embeddings",
      }),
    );
    const passed = await forwarded(upstream, asked, origin);
    stamp(passed.response, decided, placed);
    for (const [name, value] of Object.entries(notesOf(upstream.headers))) {
      passed.response.headers.set(name, value);
    }
    return passed.kind === "stream"
      ? answerStream(context, decided, charge, { ...passed, request: asked.bytes })
      : await answerWhole(decided, charge, passed, asked.bytes);
  } catch (error) {
    charge?.release();
    throw error instanceof OriginRejection ? refusalOf(error) : error;
  }
}

/** What a server says of a request by its status, for clients that go by OpenAI's. */
function refusalOf(error: OriginRejection): NearsideError {
  const details = { cause: error };
  if (error.endpointStatus === 400) {
    return new NearsideError("invalid_request", error.message, details);
  }
  if (error.endpointStatus === 413) {
    return new NearsideError("body_too_large", error.message, details);
  }
  return error;
}

async function answerWhole(
  { meter }: Decided,
  charge: Charge | undefined,
  passed: Whole,
  request: Uint8Array<ArrayBuffer>,
): Promise<Response> {
  const { response, billing }: Billed = charge
    ? await bill(charge, passed, "origin", request)
    : { ...passed, billing: undefined };
  meter.end({ outcome: "ok", status: response.status, units: passed.units, billing });
  return response;
}

/** The pool is the only place for such a request; the rules say why. */
function placeInPool({ manifest, origin, wishes, whyNoOrigin }: Decided): {
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
      whyNoOrigin ??
        `"${name}" answers this from an origin pool only${origin === undefined ? ", and has none" : ""}.`,
      { field: "model" },
    );
  }
  return { origin, placed };
}
