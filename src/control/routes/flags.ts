import * as v from "valibot";

import { type CatalogSource, Flag, withFlag } from "../../catalog/catalog.ts";
import { type CatalogChange, planChange, readCatalogSource } from "../../catalog/changes.ts";
import { NearsideError } from "../../errors.ts";
import type { ControlContext } from "../context.ts";
import { applyEdit, type Edit } from "../edit.ts";
import { modelIn } from "../models.ts";
import { change, entity, read } from "../route.ts";
import { refuseWhileRunning } from "../running.ts";
import { SYNTHETIC_KEYS, type Shares, chooserOf, sharesOf } from "../traffic.ts";

const PATH = "/v1/models/:model/flag";

/** As many choices take about a second. */
const MAX_KEYS = 20_000;

/** As flagd defines a flag; what it does not define would do nothing. */
const FlagBody = v.strictObject({
  ...Flag.entries,
  metadata: v.optional(v.record(v.string(), v.unknown())),
});

const FlagTest = v.strictObject({
  flag: v.optional(FlagBody),
  context: v.optional(v.record(v.string(), v.unknown()), {}),
  keys: v.optional(
    v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(MAX_KEYS)),
    SYNTHETIC_KEYS,
  ),
});

export const flagRoutes = [
  read({
    path: PATH,
    summary: "Gives a model's flag, as flagd defines it.",
    answers: "The flag.",
    errors: ["model_not_found", "flag_not_found"],
    async handle(context, { params: { model = "" } }) {
      const { source } = await readCatalogSource(context.store.bucket);
      const flag = flagIn(source, model);
      if (flag === undefined) throw flagNotFound(model);
      return entity(flag);
    },
  }),
  change({
    method: "PUT",
    path: PATH,
    summary: "Sets a model's flag: which variant, and so which version, a request gets.",
    answers: "What has changed in the catalog, and what 1,000 callers get before and after.",
    body: FlagBody,
    errors: ["model_not_found", "invalid_change", "rollout_running"],
    handle(context, call) {
      const { model = "" } = call.params;
      return applyEdit(context, call, {
        ...editOf(context, model, "flag.put"),
        sentence: `the flag of ${model} is set`,
        write: (source) => withFlag(source, model, call.body),
      });
    },
  }),
  change({
    method: "DELETE",
    path: PATH,
    summary: "Removes a model's flag: `stable` answers everybody.",
    answers: "What has changed in the catalog, and what 1,000 callers get before and after.",
    errors: ["model_not_found", "flag_not_found", "rollout_running"],
    handle(context, call) {
      const { model = "" } = call.params;
      return applyEdit(context, call, {
        ...editOf(context, model, "flag.delete"),
        sentence: `the flag of ${model} is removed`,
        write: (source) => withFlag(source, model, undefined),
        missing: () => flagNotFound(model),
      });
    },
  }),
  read({
    method: "POST",
    path: `${PATH}/test`,
    summary: "Tells what a flag would choose: for one caller, and for many.",
    answers: "The choice for `context`, and shares over `keys` callers who differ in their key.",
    body: FlagTest,
    errors: ["model_not_found", "invalid_change"],
    async handle({ store }, { params: { model = "" }, body: { flag, context, keys } }) {
      const { after } = await planChange(store, (source) => {
        modelIn(source, model);
        return flag === undefined ? undefined : withFlag(source, model, flag);
      });
      const choose = await chooserOf(store.bucket, after, model);
      return Response.json({
        choice: await choose({ targetingKey: "key-0", ...context }),
        shares: await sharesOf(choose, keys, context),
      });
    },
  }),
];

function editOf(context: ControlContext, model: string, action: string) {
  return {
    what: `flag of "${model}"`,
    action,
    target: `models/${model}/flag`,
    read: (source) => flagIn(source, model),
    guard: () => refuseWhileRunning(context, model, "the flag"),
    traffic: (catalogs) => trafficOf(context, catalogs, model),
  } satisfies Partial<Edit>;
}

async function trafficOf(
  { store }: ControlContext,
  { before, after }: CatalogChange,
  model: string,
): Promise<{ before: Shares; after: Shares }> {
  return {
    before: await sharesOf(await chooserOf(store.bucket, before, model)),
    after: await sharesOf(await chooserOf(store.bucket, after, model)),
  };
}

function flagIn(source: CatalogSource, model: string): Flag | undefined {
  modelIn(source, model);
  const flags = source.flags?.flags ?? {};
  return Object.hasOwn(flags, model) ? flags[model] : undefined;
}

function flagNotFound(model: string): NearsideError {
  return new NearsideError(
    "flag_not_found",
    `"${model}" has no flag: "stable" answers everybody. Set one with PUT and If-None-Match: *.`,
    { field: "model" },
  );
}
