import * as v from "valibot";

import { type CatalogSource, Label, STABLE } from "../../catalog/catalog.ts";
import { readCatalogSource } from "../../catalog/changes.ts";
import { ModelVersion } from "../../catalog/manifest.ts";
import { NearsideError } from "../../errors.ts";
import type { ControlContext } from "../context.ts";
import { applyEdit, type Edit } from "../edit.ts";
import { check } from "../input.ts";
import { modelIn, withModel } from "../models.ts";
import { change, entity, read } from "../route.ts";
import { refuseWhileRunning } from "../running.ts";

const PATH = "/v1/models/:model/labels/:label";

const LabelBody = v.strictObject({ version: ModelVersion });

interface Place {
  readonly model: string;
  readonly label: string;
}

export const labelRoutes = [
  read({
    path: PATH,
    summary: "Tells which version a label names.",
    answers: "The label's version.",
    errors: ["model_not_found", "label_not_found"],
    async handle(context, { params }) {
      const place = placeOf(params);
      const { source } = await readCatalogSource(context.store.bucket);
      const label = labelIn(source, place);
      if (label === undefined) throw labelNotFound(place);
      return entity(label);
    },
  }),
  change({
    method: "PUT",
    path: PATH,
    summary: "Moves a label to a version, or makes it.",
    answers: "What has changed in the catalog.",
    body: LabelBody,
    errors: ["model_not_found", "invalid_change", "rollout_running"],
    handle(context, call) {
      const place = placeOf(call.params);
      check(Label, place.label, "label");
      const { version } = call.body;
      return applyEdit(context, call, {
        ...editOf(context, place, "label.put"),
        sentence: `${place.label} of ${place.model} names version ${version}`,
        write: (source) => withLabel(source, place, version),
      });
    },
  }),
  change({
    method: "DELETE",
    path: PATH,
    summary: "Removes a label. `stable` can be moved, and not removed.",
    answers: "What has changed in the catalog.",
    errors: ["model_not_found", "label_not_found", "invalid_change"],
    async handle(context, call) {
      const place = placeOf(call.params);
      if (place.label === STABLE) {
        throw new NearsideError(
          "invalid_change",
          `"${STABLE}" can't be removed: it is what a request follows when nothing else chooses. Move it with PUT, or switch the model off.`,
          { field: `models.${place.model}.labels.${STABLE}` },
        );
      }
      return applyEdit(context, call, {
        ...editOf(context, place, "label.delete"),
        sentence: `${place.label} of ${place.model} is removed`,
        write: (source) => withLabel(source, place, undefined),
        missing: () => labelNotFound(place),
      });
    },
  }),
];

function editOf(context: ControlContext, place: Place, action: string) {
  const { model, label } = place;
  return {
    what: `label "${label}" of "${model}"`,
    action,
    target: `models/${model}/labels/${label}`,
    read: (source) => labelIn(source, place),
    ...(label === STABLE && {
      guard: () => refuseWhileRunning(context, model, `the label "${STABLE}"`),
      watch: (source: CatalogSource) => source.flags?.flags[model],
    }),
  } satisfies Partial<Edit>;
}

function placeOf({ model = "", label = "" }: Readonly<Record<string, string>>): Place {
  return { model, label };
}

function labelIn(source: CatalogSource, { model, label }: Place): object | undefined {
  const { labels } = modelIn(source, model);
  return Object.hasOwn(labels, label) ? { version: labels[label] } : undefined;
}

function withLabel(
  source: CatalogSource,
  { model, label }: Place,
  version: number | undefined,
): CatalogSource {
  const known = modelIn(source, model);
  const { [label]: _, ...others } = known.labels;
  const labels = version === undefined ? others : { ...known.labels, [label]: version };
  return withModel(source, model, { ...known, labels });
}

function labelNotFound({ model, label }: Place): NearsideError {
  return new NearsideError("label_not_found", `"${model}" has no label "${label.slice(0, 64)}".`, {
    field: "label",
  });
}
