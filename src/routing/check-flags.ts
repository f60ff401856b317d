import * as v from "valibot";

import { type CatalogModel, type FlagSet, STABLE } from "../catalog/catalog.ts";
import { isRecordKey } from "../catalog/manifest.ts";
import type { FieldProblem } from "../errors.ts";
import { checkRule } from "./check-rule.ts";
import { flagdProvider } from "./flagd.ts";
import { Variant } from "./variant.ts";

/** What flags may name: labels, and versions by number. */
type Models = Readonly<
  Record<string, { readonly labels: CatalogModel["labels"]; readonly versions: object }>
>;

const VARIANT_NAME = /^[A-Za-z0-9_.-]{1,64}$/;

/**
 * Checks flags against the models that they choose for, before they are published: what names a missing
 * model, version or variant, fractions that don't add up to 100, rules that can never be reached, and what
 * flagd can't evaluate.
 */
export function checkFlags(flags: FlagSet, models: Models): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const shared = flags.$evaluators ?? {};
  for (const [name, rule] of Object.entries(shared)) {
    // Whoever refers to it checks its results: its variants are theirs.
    problems.push(...checkRule(rule, `$evaluators.${name}`, { variants: undefined, shared }));
  }
  for (const [name, flag] of Object.entries(flags.flags)) {
    const field = `flags.${name}`;
    const model = Object.hasOwn(models, name) ? models[name] : undefined;
    if (model === undefined) {
      problems.push({ field, problem: `there is no model "${name}"` });
      continue;
    }
    if (model.labels[STABLE] === undefined) {
      problems.push({ field, problem: `"${name}" has no label "${STABLE}" to fall back on` });
    }
    const { variants, defaultVariant, targeting } = flag;
    for (const [variant, value] of Object.entries(variants)) {
      const problem =
        VARIANT_NAME.test(variant) && isRecordKey(variant)
          ? variantProblem(value, model)
          : "a variant's name has 1 to 64 letters, digits, dots, dashes and underscores, because answers carry it in a header";
      if (problem !== undefined) problems.push({ field: `${field}.variants.${variant}`, problem });
    }
    if (defaultVariant !== undefined && !Object.hasOwn(variants, defaultVariant)) {
      problems.push({
        field: `${field}.defaultVariant`,
        problem: `there is no variant "${defaultVariant}"`,
      });
    }
    if (targeting !== undefined) {
      problems.push(...checkRule(targeting, `${field}.targeting`, { variants, shared }));
    }
  }
  return problems.length > 0 ? problems : evaluationProblems(flags);
}

function variantProblem(value: unknown, model: Models[string]): string | undefined {
  const parsed = v.safeParse(Variant, value);
  if (!parsed.success) {
    return 'must be a version\'s number, a label, or {"version": …, "shadow": {"version": …, "rate": 0 to 1}}';
  }
  const { version, shadow } = parsed.output;
  const known = [...Object.keys(model.versions), ...Object.keys(model.labels)].join(", ");
  for (const named of shadow === undefined ? [version] : [version, shadow.version]) {
    const number = Object.hasOwn(model.labels, named) ? model.labels[named] : named;
    if (!Object.hasOwn(model.versions, String(number))) {
      return `names version ${named}, which is not published; there are ${known}`;
    }
  }
  return undefined;
}

/** What is left is for flagd to say. */
function evaluationProblems(flags: FlagSet): FieldProblem[] {
  try {
    const provider = flagdProvider(flags);
    return Object.keys(flags.flags).flatMap((name) => {
      const details = provider.resolveObjectEvaluation(name, null, { targetingKey: "check" });
      const isParsed = "errorCode" in details && details.errorCode === "PARSE_ERROR";
      return isParsed
        ? [{ field: `flags.${name}.targeting`, problem: details.errorMessage ?? "can't be parsed" }]
        : [];
    });
  } catch (error) {
    return [{ field: "flags", problem: (error as Error).message }];
  }
}
