import * as v from "valibot";

import type { CatalogSource } from "../../catalog/catalog.ts";
import { readCatalogSource } from "../../catalog/changes.ts";
import { applyEdit } from "../edit.ts";
import { change, entity, read } from "../route.ts";

const PATH = "/v1/evaluators";

const Evaluators = v.record(v.string(), v.record(v.string(), v.unknown()));

export const evaluatorRoutes = [
  read({
    path: PATH,
    summary: "Gives the rules that flags share by `$ref`.",
    answers: "flagd's `$evaluators`, by name.",
    errors: [],
    async handle(context) {
      const { source } = await readCatalogSource(context.store.bucket);
      return entity(evaluatorsIn(source));
    },
  }),
  change({
    method: "PUT",
    path: PATH,
    summary: "Sets the rules that flags share by `$ref`, all of them.",
    answers: "What has changed in the catalog.",
    body: Evaluators,
    errors: ["invalid_change"],
    handle: (context, call) =>
      applyEdit(context, call, {
        what: "shared rules",
        action: "evaluators.put",
        target: "evaluators",
        sentence: "the shared rules of flags are set",
        read: evaluatorsIn,
        write: (source) => withEvaluators(source, call.body),
      }),
  }),
];

function evaluatorsIn({ flags }: CatalogSource): Readonly<Record<string, unknown>> {
  return flags?.$evaluators ?? {};
}

function withEvaluators(source: CatalogSource, evaluators: object): CatalogSource {
  const flags = source.flags?.flags ?? {};
  const hasRules = Object.keys(evaluators).length > 0;
  return { ...source, flags: { flags, ...(hasRules && { $evaluators: { ...evaluators } }) } };
}
