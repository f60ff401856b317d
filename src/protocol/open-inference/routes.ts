import { NearsideError } from "../../errors.ts";
import type { Context } from "../../context.ts";
import { type Target, describedVersion } from "../../routing/choose.ts";
import { routeOf } from "../decide.ts";
import { modelMetadata, serverMetadata } from "./metadata.ts";

/** `GET /v2` */
export function getServer(): Response {
  return Response.json(serverMetadata());
}

/** `GET /v2/health/live`: this isolate answers. */
export function getLive(): Response {
  return Response.json({ live: true });
}

/** `GET /v2/health/ready`: models can be looked up. The specification calls its one field `live`. @throws NearsideError `catalog_unavailable` */
export async function getReady(context: Context): Promise<Response> {
  await context.isolate.catalog.get(context);
  return Response.json({ live: true, ready: true });
}

/** `GET /v2/models/{m}[/versions/{v}]` */
export async function getModel(context: Context, target: Target): Promise<Response> {
  const catalog = await context.isolate.catalog.get(context);
  const manifest = describedVersion(catalog, target);
  const model = catalog.models[manifest.name];
  return Response.json(model === undefined ? {} : modelMetadata(model, manifest));
}

/** `GET /v2/models/{m}[/versions/{v}]/ready`: a request would be served, if need be after loading. */
export async function getModelReady(context: Context, target: Target): Promise<Response> {
  const catalog = await context.isolate.catalog.get(context);
  const manifest = describedVersion(catalog, target);
  const { name, version } = manifest;
  const protocols = ["open-inference", "openai"] as const;
  if (protocols.some((protocol) => routeOf(catalog, manifest, protocol) !== undefined)) {
    return Response.json({ name, ready: true });
  }
  if (manifest.edge === false) {
    throw new NearsideError("no_edge_build", `"${name}" needs an origin pool, and has none.`);
  }
  if (!context.isolate.host.fits(manifest)) {
    throw new NearsideError("model_too_large", `"${name}" does not fit an edge isolate.`);
  }
  if (context.isolate.host.isFailing(name, version, context.now())) {
    throw new NearsideError("model_unavailable", `Loading "${name}" has just failed.`, {
      retryAfterSeconds: 1,
    });
  }
  return Response.json({ name, ready: true });
}
