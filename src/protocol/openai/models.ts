import type { Context } from "../../context.ts";
import { NearsideError } from "../../errors.ts";
import { routeOf } from "../decide.ts";
import { embedsItself } from "./embeddings.ts";

/**
 * `GET /v1/models`: those that these routes answer.
 *
 * @param allowed to the caller; all when absent
 */
export async function getModels(context: Context, allowed?: readonly string[]): Promise<Response> {
  const models = await modelsOf(context);
  const data = models.filter(({ id }) => allowed?.includes(id) !== false);
  return Response.json({ object: "list", data });
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
  return Object.entries(catalog.models).flatMap(([id, { versions, labels, off, origin }]) => {
    const manifest = versions[String(labels["stable"])] ?? Object.values(versions)[0];
    const isServed =
      off !== true &&
      manifest !== undefined &&
      (routeOf(catalog, manifest, "openai") !== undefined ||
        (embedsItself(catalog, id) && (manifest.edge !== false || origin !== undefined)));
    // The catalog does not keep when a model was published, and the API wants a number.
    return isServed ? [{ id, object: "model", created: 0, owned_by: "nearside" }] : [];
  });
}
