import type { ErrorCode, EvaluationContext, JsonValue } from "@openfeature/core";

import type { FlagProvider } from "./flag-provider.ts";

/** The part of the binding that routing needs. */
export type FlagshipBinding = Pick<Flagship, "getObjectDetails">;

/**
 * Flags of Cloudflare's Flagship (https://developers.cloudflare.com/flagship/), by a Worker's binding.
 *
 * Opt in to it: each request asks the binding before its answer, which is I/O that flagd's evaluation in
 * process spares. A binding that fails or throws costs no answer: `chooseVersion` falls back to `stable`.
 *
 * In Flagship, a model's flag has the model's name as its key, and each variation is an object:
 * `{"version": 2}` or `{"version": "stable", "shadow": {"version": 2, "rate": 0.1}}`. Numbers and strings,
 * which flagd's variants may be, are a TYPE_MISMATCH there. Percentages go by `targetingKey` unless the
 * rule names another attribute. A flag that is switched off there is as none: `stable` answers.
 *
 * The catalog says which models are routed by a flag, and which of these by Flagship: those with
 * `"metadata": {"provider": "flagship"}` (`mixedProvider`). Their variants and targeting are not read.
 */
export function flagshipProvider(binding: FlagshipBinding): FlagProvider {
  return {
    metadata: { name: "flagship" },
    async resolveObjectEvaluation(flagKey, defaultValue, context) {
      const details = await binding.getObjectDetails<object>(
        flagKey,
        isObject(defaultValue) ? defaultValue : {},
        scalarsOf(context),
      );
      const { variant, reason, errorCode, errorMessage } = details;
      return {
        value: errorCode === undefined ? (details.value as JsonValue) : defaultValue,
        reason: reason?.toUpperCase() ?? (errorCode === undefined ? "UNKNOWN" : "ERROR"),
        ...(variant !== undefined && { variant }),
        ...(errorCode !== undefined && { errorCode: errorCodeOf(errorCode) }),
        ...(errorMessage !== undefined && { errorMessage }),
      };
    },
  };
}

function isObject(value: JsonValue): value is Extract<JsonValue, object> {
  return typeof value === "object" && value !== null;
}

/** What Flagship documents as a context: strings, numbers and booleans. */
function scalarsOf(context: EvaluationContext): Record<string, string | number | boolean> {
  const scalars: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(context)) {
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") {
      scalars[name] = value;
    }
  }
  return scalars;
}

/** Those of OpenFeature that Flagship has. */
const ERROR_CODES = new Set(["TYPE_MISMATCH", "GENERAL", "FLAG_NOT_FOUND", "PARSE_ERROR"]);

function errorCodeOf(code: string): ErrorCode {
  const known = code.toUpperCase();
  return (ERROR_CODES.has(known) ? known : "GENERAL") as ErrorCode;
}
