import { isAdmin } from "../../accounts/admin-token.ts";
import type { Context } from "../../context.ts";
import { NearsideError } from "../../errors.ts";
import { describedVersion } from "../../routing/choose.ts";
import { decodeJson, parseJson, readBody } from "../body.ts";
import { addressOf } from "../rate-limit.ts";
import { malformed, object } from "./elements.ts";
import { allowedModels, checkReady, listedModel, versionsOf } from "./listed.ts";

/** Of index, load and unload: nothing that they take is larger. */
const MAX_BODY_BYTES = 64 * 1024;

/** What these answers say of: other isolates hold their own copies, and keep them. */
const SCOPE = "this isolate";

/** `POST /v2/repository/index` @param allowed models of the caller; all when absent */
export async function postIndex(
  context: Context,
  request: Request,
  allowed?: readonly string[],
): Promise<Response> {
  const { ready = false } = await bodyOf(request);
  if (typeof ready !== "boolean") throw malformed("ready", "must be true or false");
  const catalog = await context.isolate.catalog.get(context);
  const models = heldModels(context);
  const index = allowedModels(catalog, allowed).flatMap((name) =>
    versionsOf(listedModel(catalog, name)).map((version) => {
      const held = models.find((one) => one.name === name && one.version === version);
      const reason = refusalOf(() =>
        checkReady(context, catalog, { model: name, version: String(version) }),
      );
      return {
        name,
        version: String(version),
        state: reason === "" ? "READY" : "UNAVAILABLE",
        reason,
        nearside: { scope: SCOPE, held: held?.state === "loaded", bytes: held?.bytes ?? 0 },
      };
    }),
  );
  return Response.json(ready ? index.filter(({ state }) => state === "READY") : index);
}

/** `POST /v2/repository/models/{m}/load`: loads the version that `stable` names, as its first request would. */
export async function postLoad(
  context: Context,
  model: string,
  request: Request,
): Promise<Response> {
  operatorOnly(context, request);
  const [parameter] = Object.keys(await parametersOf(request));
  if (parameter !== undefined) {
    throw new NearsideError(
      "invalid_request",
      "A version is loaded as it was published; for another configuration or other files publish another version.",
      { field: `parameters.${parameter.slice(0, 64)}` },
    );
  }
  const { host, catalog } = context.isolate;
  const manifest = describedVersion(await catalog.get(context), { model });
  const { name, version, edge } = manifest;
  if (edge === false) {
    throw new NearsideError("no_edge_build", `"${name}" runs in an origin pool only.`, {
      field: "model",
    });
  }
  const start = await host.use(manifest, context, (_, how) => how);
  const { heldBytes, budgetBytes } = host.stats();
  return Response.json({
    scope: SCOPE,
    name,
    version: String(version),
    start,
    bytes: heldBy(context, name).find((one) => one.version === version)?.bytes ?? 0,
    held_bytes: heldBytes,
    budget_bytes: budgetBytes,
  });
}

/** `POST /v2/repository/models/{m}/unload`: drops every version that this isolate holds; the next request loads it again. */
export async function postUnload(
  context: Context,
  model: string,
  request: Request,
): Promise<Response> {
  operatorOnly(context, request);
  // Members of an ensemble are part of it, and leave with it whatever this says.
  const { unload_dependents: dependents = false, ...others } = await parametersOf(request);
  if (typeof dependents !== "boolean") {
    throw malformed("parameters.unload_dependents", "must be true or false");
  }
  const [other] = Object.keys(others);
  if (other !== undefined) {
    throw malformed(`parameters.${other.slice(0, 64)}`, "is no parameter of unload");
  }
  const { host, catalog } = context.isolate;
  listedModel(await catalog.get(context), model);
  const held = heldBy(context, model);
  const busy = held.find(({ users, state }) => users > 0 || state === "loading");
  if (busy !== undefined) {
    throw new NearsideError(
      "model_in_use",
      `Version ${busy.version} of "${model}" is ${busy.users > 0 ? "answering" : "loading"} right now; nothing was dropped.`,
      { field: "model", retryAfterSeconds: 1 },
    );
  }
  for (const { version } of held) host.unload(model, version);
  const { heldBytes, budgetBytes } = host.stats();
  return Response.json({
    scope: SCOPE,
    name: model,
    unloaded: held.map(({ version, bytes }) => ({ version: String(version), bytes })),
    held_bytes: heldBytes,
    budget_bytes: budgetBytes,
  });
}

/** Corpora left out: one may be called like a model. */
const heldModels = ({ isolate }: Context) =>
  isolate.host.stats().models.filter(({ kind }) => kind === undefined);

const heldBy = (context: Context, model: string) =>
  heldModels(context).filter(({ name }) => name === model);

/** What others have warm is not everybody's to drop, or to push out. @throws NearsideError `operator_only`, `rate_limited` */
function operatorOnly(context: Context, request: Request): void {
  const { adminToken, anonymous, rates } = context.isolate;
  const address = addressOf(request);
  rates.check(address, context.now());
  if (isAdmin(request, adminToken)) return;
  rates.count(address, context);
  if (anonymous === "allowed") return;
  throw new NearsideError(
    "operator_only",
    "Loading and unloading take the operator's token (Authorization: Bearer …); a model that is asked for loads by itself.",
    { field: "authorization" },
  );
}

async function parametersOf(request: Request): Promise<Record<string, unknown>> {
  const { parameters = {} } = await bodyOf(request);
  return object(parameters, "parameters");
}

/** An object, or nothing at all. @throws NearsideError `invalid_json`, `invalid_request`, `body_too_large` */
async function bodyOf(request: Request): Promise<Record<string, unknown>> {
  const text = decodeJson(await readBody(request, MAX_BODY_BYTES));
  return text === "" ? {} : object(parseJson(text), "");
}

/** Why it is refused; nothing when it is not. */
function refusalOf(check: () => void): string {
  try {
    check();
    return "";
  } catch (error) {
    if (error instanceof NearsideError) return error.message;
    throw error;
  }
}
