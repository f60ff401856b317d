import * as v from "valibot";

import { type CatalogModel, type FlagSet, STABLE } from "../catalog/catalog.ts";
import type { FieldProblem } from "../errors.ts";
import { flagdProvider } from "./flagd.ts";
import { Variant } from "./variant.ts";

/** What flags may name: labels, and versions by number. */
type Models = Readonly<
  Record<string, { readonly labels: CatalogModel["labels"]; readonly versions: object }>
>;

const WHOLE = 100;

/**
 * Checks flags against the models that they choose for, before they are published: what names a missing
 * model, version or variant, fractions that don't add up to 100, rules that can never be reached, and what
 * flagd can't evaluate.
 */
export function checkFlags(flags: FlagSet, models: Models): FieldProblem[] {
  const problems: FieldProblem[] = [];
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
      const problem = variantProblem(value, model);
      if (problem !== undefined) problems.push({ field: `${field}.variants.${variant}`, problem });
    }
    if (defaultVariant !== undefined && !Object.hasOwn(variants, defaultVariant)) {
      problems.push({
        field: `${field}.defaultVariant`,
        problem: `there is no variant "${defaultVariant}"`,
      });
    }
    if (targeting !== undefined) checkRule(targeting, variants, `${field}.targeting`, problems);
  }
  for (const [name, rule] of Object.entries(flags.$evaluators ?? {})) {
    checkRule(rule, undefined, `$evaluators.${name}`, problems);
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

/** @param variants undefined in a shared rule, whose variants are those of whoever refers to it */
function checkRule(
  rule: unknown,
  variants: Readonly<Record<string, unknown>> | undefined,
  field: string,
  problems: FieldProblem[],
): void {
  if (typeof rule !== "object" || rule === null) return;
  if (Array.isArray(rule)) {
    for (const [index, part] of rule.entries()) {
      checkRule(part, variants, `${field}[${index}]`, problems);
    }
    return;
  }
  for (const [operator, words] of Object.entries(rule)) {
    const place = `${field}.${operator}`;
    if (operator === "fractional") checkFractions(words, variants, place, problems);
    if (operator === "if") checkReach(words, place, problems);
    checkRule(words, variants, place, problems);
  }
}

/** `[["current", 99], ["next", 1]]`, perhaps after an expression that is hashed instead of the targeting key. */
function checkFractions(
  words: unknown,
  variants: Readonly<Record<string, unknown>> | undefined,
  field: string,
  problems: FieldProblem[],
): void {
  const shares: unknown[] = Array.isArray(words) ? words.filter(Array.isArray) : [];
  let sum = 0;
  for (const [index, share] of shares.entries()) {
    const [variant, weight = 1] = share as readonly unknown[];
    if (typeof weight !== "number" || !Number.isInteger(weight) || weight < 0) {
      problems.push({ field: `${field}[${index}]`, problem: "its share must be a whole number" });
      return;
    }
    if (typeof variant === "string" && variants && !Object.hasOwn(variants, variant)) {
      problems.push({ field: `${field}[${index}]`, problem: `there is no variant "${variant}"` });
    }
    sum += weight;
  }
  if (sum !== WHOLE) {
    problems.push({ field, problem: `the shares add up to ${sum}, not ${WHOLE}` });
  }
}

/** `[condition, then, condition, then, …, else]`: after a condition that always holds nothing is reached. */
function checkReach(words: unknown, field: string, problems: FieldProblem[]): void {
  if (!Array.isArray(words)) return;
  const always = words.findIndex((word, index) => index % 2 === 0 && word === true);
  if (always >= 0 && always + 2 < words.length) {
    problems.push({
      field: `${field}[${always + 2}]`,
      problem: "is never reached: the condition before it always holds",
    });
  }
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
