import { type CatalogSource, type Flag, STABLE, withFlag } from "../catalog/catalog.ts";
import type { Mutation } from "../catalog/changes.ts";
import { isSameJson } from "../catalog/same-json.ts";
import { NearsideError } from "../errors.ts";
import { rolloutFlag } from "./flag.ts";
import type { RolloutState, Transition } from "./state.ts";

/** Somebody else took the model's flag away from the rollout. */
export class SupersededError extends Error {
  override readonly name = "SupersededError";
}

/**
 * What a transition does to the catalog. Applied twice it does nothing the second time, so that a rollout
 * which crashed in between goes on where it was.
 *
 * @throws SupersededError when the model's flag is not the one that the rollout wrote last; NearsideError
 * `flag_in_the_way`, `precondition_failed` when a rollout can't start
 */
export function catalogMutation(state: RolloutState, transition: Transition): Mutation {
  const { model, plan, baseline } = state;
  const current = rolloutFlag({ plan, baseline, step: state.step });
  return (source) => {
    const flag = source.flags?.flags[model];
    const isOurs = isSameJson(flag, current);
    switch (transition.action) {
      case "start": {
        if (isOurs) return undefined;
        refuseStart(source, state, flag);
        return withFlag(source, model, current);
      }
      case "advance": {
        const next = rolloutFlag({ plan, baseline, step: transition.step });
        if (isSameJson(flag, next)) return undefined;
        if (!isOurs) throw new SupersededError();
        return withFlag(source, model, next);
      }
      case "promote": {
        const known = source.models[model];
        if (flag === undefined && known?.labels[STABLE] === plan.version) return undefined;
        if (!isOurs || known === undefined) throw new SupersededError();
        const labels = { ...known.labels, [STABLE]: plan.version };
        const models = { ...source.models, [model]: { ...known, labels } };
        return withFlag({ ...source, models }, model, undefined);
      }
      case "roll_back":
      case "abort":
        return isOurs ? withFlag(source, model, undefined) : undefined;
      case "pause":
      case "resume":
      case "supersede":
        return undefined;
    }
  };
}

/** @throws SupersededError when the model's flag is not the rollout's */
export function checkStillOurs(source: CatalogSource, state: RolloutState): void {
  const { model, plan, baseline, step } = state;
  if (!isSameJson(source.flags?.flags[model], rolloutFlag({ plan, baseline, step }))) {
    throw new SupersededError();
  }
}

function refuseStart(
  source: CatalogSource,
  { model, baseline }: RolloutState,
  flag: Flag | undefined,
): void {
  if (flag !== undefined) {
    throw new NearsideError(
      "flag_in_the_way",
      `"${model}" has a flag of its own, and a rollout needs its place. Remove it first: nearside flag set ${model} --delete`,
      { field: `flags.${model}` },
    );
  }
  if (source.models[model]?.labels[STABLE] !== baseline) {
    throw new NearsideError(
      "precondition_failed",
      `"${STABLE}" of "${model}" was moved meanwhile; start the rollout again.`,
    );
  }
}
