import type { CatalogSource } from "../catalog/catalog.ts";
import { NearsideError } from "../errors.ts";

export type SourceModel = CatalogSource["models"][string];

/** A name from a URL may be as long as the URL. */
const SHOWN_CHARACTERS = 64;

/** @throws NearsideError `model_not_found` with the models that there are */
export function modelIn({ models }: CatalogSource, name: string): SourceModel {
  const model = Object.hasOwn(models, name) ? models[name] : undefined;
  if (model !== undefined) return model;
  const known = Object.keys(models).join(", ") || "none yet: publish one first";
  throw new NearsideError(
    "model_not_found",
    `There is no model "${name.slice(0, SHOWN_CHARACTERS)}"; there are ${known}.`,
    { field: "model" },
  );
}

/** The catalog with one model put in the place of what it was. */
export function withModel(source: CatalogSource, name: string, model: SourceModel): CatalogSource {
  return { ...source, models: { ...source.models, [name]: model } };
}
