import * as v from "valibot";

import type { CatalogSource } from "../../catalog/catalog.ts";
import { readCatalogSource } from "../../catalog/changes.ts";
import { ModelVersion } from "../../catalog/manifest.ts";
import { applyEdit } from "../edit.ts";
import { modelIn, withModel } from "../models.ts";
import { change, entity, read } from "../route.ts";

const PATH = "/v1/models/:model/switches";

const Switches = v.strictObject({
  /** Nobody is answered. */
  off: v.boolean(),
  /** These versions answer nobody: a flag's callers get `stable` instead. */
  offVersions: v.array(ModelVersion),
});
type Switches = v.InferOutput<typeof Switches>;

export const switchRoutes = [
  read({
    path: PATH,
    summary: "Tells what of a model is switched off.",
    answers: "The switches.",
    errors: ["model_not_found"],
    async handle(context, { params: { model = "" } }) {
      const { source } = await readCatalogSource(context.store.bucket);
      return entity(switchesIn(source, model));
    },
  }),
  change({
    method: "PUT",
    path: PATH,
    summary: "Switches a model or versions of it off or on, whatever labels and flags say.",
    answers: "What has changed in the catalog.",
    body: Switches,
    errors: ["model_not_found", "invalid_change"],
    handle(context, call) {
      const { model = "" } = call.params;
      return applyEdit(context, call, {
        what: `switches of "${model}"`,
        action: "switches.put",
        target: `models/${model}/switches`,
        sentence: sentenceOf(model, call.body),
        read: (source) => switchesIn(source, model),
        write: (source) => withSwitches(source, model, call.body),
      });
    },
  }),
];

function switchesIn(source: CatalogSource, model: string): Switches {
  const { off = false, offVersions = [] } = modelIn(source, model);
  return { off, offVersions };
}

function withSwitches(
  source: CatalogSource,
  model: string,
  { off, offVersions }: Switches,
): CatalogSource {
  const { off: _, offVersions: __, ...rest } = modelIn(source, model);
  const versions = [...new Set(offVersions)].toSorted((a, b) => a - b);
  return withModel(source, model, {
    ...rest,
    ...(off && { off }),
    ...(versions.length > 0 && { offVersions: versions }),
  });
}

function sentenceOf(model: string, { off, offVersions }: Switches): string {
  if (off) return `${model} is switched off`;
  if (offVersions.length === 0) return `${model} is switched on`;
  return `${model} is on, without ${offVersions.map((version) => `version ${version}`).join(", ")}`;
}
