import type { Context } from "../../context.ts";
import { type Target, describedVersion } from "../../routing/choose.ts";
import { modelConfiguration } from "./config.ts";
import { checkReady, listedModel } from "./listed.ts";
import { modelMetadata, serverMetadata } from "./metadata.ts";

/** `GET /v2` */
export function getServer({ isolate }: Context): Response {
  return Response.json(serverMetadata({ hasStatistics: isolate.statistics !== undefined }));
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
  return Response.json(modelMetadata(listedModel(catalog, manifest.name), manifest));
}

/** `GET /v2/models/{m}[/versions/{v}]/config` */
export async function getModelConfig(context: Context, target: Target): Promise<Response> {
  const catalog = await context.isolate.catalog.get(context);
  const manifest = describedVersion(catalog, target);
  return Response.json(modelConfiguration(listedModel(catalog, manifest.name), manifest));
}

/** `GET /v2/models/{m}[/versions/{v}]/ready`: a request would be served, if need be after loading. */
export async function getModelReady(context: Context, target: Target): Promise<Response> {
  const catalog = await context.isolate.catalog.get(context);
  checkReady(context, catalog, target);
  return Response.json({ name: target.model, ready: true });
}
