import { depthOf } from "../catalog/same-json.ts";
import type { FieldProblem } from "../errors.ts";

/** What a rule may name. */
export interface RuleSurroundings {
  /** Undefined for a shared rule, whose variants are those of whoever refers to it. */
  readonly variants: Readonly<Record<string, unknown>> | undefined;
  /** `$evaluators`: what `$ref` names. */
  readonly shared: Readonly<Record<string, unknown>>;
}

/** JsonLogic's operators (https://jsonlogic.com/operations.html) and flagd's own. */
const CONDITIONS =
  "== === != !== ! !! > >= < <= in missing missing_some all none some sem_ver starts_with ends_with".split(
    " ",
  );
const NUMBERS = ["+", "-", "*", "/", "%", "max", "min"];
const OTHERS = [
  "var",
  "if",
  "?:",
  "or",
  "and",
  "cat",
  "substr",
  "map",
  "reduce",
  "filter",
  "merge",
];
const FLAGD = ["fractional", "$ref"];
const OPERATORS = new Set([...CONDITIONS, ...NUMBERS, ...OTHERS, ...FLAGD]);

/** What makes a rule's result differ from caller to caller. */
const DEPENDS = new Set(["var", "missing", "missing_some", "fractional", "$ref"]);

/** Deeper rules are somebody's mistake, or an attempt on the evaluator's stack. */
const MAX_DEPTH = 64;

/** Percent. */
const WHOLE = 100;

/** Everything in a targeting rule that would not do what its author meant. */
export function checkRule(
  rule: unknown,
  field: string,
  surroundings: RuleSurroundings,
): FieldProblem[] {
  if (depthOf(rule) > MAX_DEPTH) {
    return [{ field, problem: `is nested deeper than ${MAX_DEPTH}` }];
  }
  const problems: FieldProblem[] = [];
  checkOperators(rule, field, surroundings, problems);
  // A result is followed through what is known to be an operator.
  if (problems.length === 0) checkResult(rule, field, surroundings, [], problems);
  return problems;
}

/** One operator and its words; undefined for what is a value. */
function operationOf(rule: unknown): { operator: string; words: unknown } | undefined {
  if (typeof rule !== "object" || rule === null || Array.isArray(rule)) return undefined;
  const [entry] = Object.entries(rule);
  return entry && { operator: entry[0], words: entry[1] };
}

function checkOperators(
  rule: unknown,
  field: string,
  surroundings: RuleSurroundings,
  problems: FieldProblem[],
): void {
  if (Array.isArray(rule)) {
    for (const [index, part] of rule.entries()) {
      checkOperators(part, `${field}[${index}]`, surroundings, problems);
    }
    return;
  }
  const operation = operationOf(rule);
  if (operation === undefined) return;
  const { operator, words } = operation;
  const place = `${field}.${operator}`;
  if (!OPERATORS.has(operator)) {
    problems.push({ field: place, problem: "is no operator of JsonLogic or flagd" });
    return;
  }
  if (Object.keys(rule as object).length > 1) {
    problems.push({ field, problem: "has several operators; a rule is one" });
    return;
  }
  if (operator === "$ref") checkReference(words, place, surroundings, problems);
  if (operator === "fractional") checkFractions(words, surroundings.variants, place, problems);
  if (operator === "if" || operator === "?:") checkConditions(words, place, problems);
  checkOperators(words, place, surroundings, problems);
}

function checkReference(
  name: unknown,
  field: string,
  { shared }: RuleSurroundings,
  problems: FieldProblem[],
): void {
  if (typeof name === "string" && Object.hasOwn(shared, name)) return;
  const known = Object.keys(shared).join(", ") || "none";
  problems.push({
    field,
    problem: `there is no shared rule ${JSON.stringify(name)}; there are ${known}`,
  });
}

/** `[["current", 99], ["next", 1]]`, perhaps after an expression that is hashed instead of the targeting key. */
function checkFractions(
  words: unknown,
  variants: RuleSurroundings["variants"],
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

/** `[condition, then, condition, then, …, else]`: where a condition is the same for everybody, a branch is never reached. */
function checkConditions(words: unknown, field: string, problems: FieldProblem[]): void {
  if (!Array.isArray(words)) return;
  for (let index = 0; index + 1 < words.length; index += 2) {
    if (dependsOnCaller(words[index])) continue;
    problems.push({
      field: `${field}[${index}]`,
      problem: "is the same for everybody, so a branch is never reached: it names no attribute",
    });
  }
}

function dependsOnCaller(rule: unknown): boolean {
  if (Array.isArray(rule)) return rule.some(dependsOnCaller);
  const operation = operationOf(rule);
  if (operation === undefined) return false;
  return DEPENDS.has(operation.operator) || dependsOnCaller(operation.words);
}

/** What a rule can result in must be a variant, as far as that can be seen; null is the flag's default. */
function checkResult(
  rule: unknown,
  field: string,
  surroundings: RuleSurroundings,
  references: readonly string[],
  problems: FieldProblem[],
): void {
  const { variants, shared } = surroundings;
  const operation = operationOf(rule);
  if (operation === undefined) {
    if (rule === null || variants === undefined) return;
    if (typeof rule === "string" && Object.hasOwn(variants, rule)) return;
    if (typeof rule === "boolean" && Object.hasOwn(variants, String(rule))) return;
    const named = typeof rule === "string" ? `"${rule}"` : JSON.stringify(rule);
    problems.push({
      field,
      problem: `there is no variant ${named}; there are ${Object.keys(variants).join(", ")}`,
    });
    return;
  }
  const { operator, words } = operation;
  const place = `${field}.${operator}`;
  const parts: unknown[] = Array.isArray(words) ? words : [words];
  if (operator === "$ref") {
    const name = String(words);
    if (references.includes(name)) {
      problems.push({ field: place, problem: `the shared rule "${name}" refers to itself` });
      return;
    }
    checkResult(shared[name], place, surroundings, [...references, name], problems);
  } else if (operator === "if" || operator === "?:") {
    for (const [index, part] of parts.entries()) {
      const isResult = index % 2 === 1 || index === parts.length - 1;
      if (isResult) checkResult(part, `${place}[${index}]`, surroundings, references, problems);
    }
  } else if (NUMBERS.includes(operator)) {
    problems.push({ field: place, problem: "results in a number, which is no variant" });
  } else if (CONDITIONS.includes(operator) && variants !== undefined) {
    if (Object.hasOwn(variants, "true") && Object.hasOwn(variants, "false")) return;
    problems.push({
      field: place,
      problem:
        'results in true or false, and there are no variants of these names: put it into an "if"',
    });
  }
}
