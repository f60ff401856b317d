import type { EvaluationContext, JsonValue, ResolutionDetails } from "@openfeature/core";

/**
 * Who evaluates flags: the part of an OpenFeature provider that routing needs, so that any provider for
 * JavaScript servers is one. https://openfeature.dev/specification/sections/providers
 */
export interface FlagProvider {
  readonly metadata: { readonly name: string };
  resolveObjectEvaluation(
    flagKey: string,
    defaultValue: JsonValue,
    context: EvaluationContext,
  ): ResolutionDetails<JsonValue> | Promise<ResolutionDetails<JsonValue>>;
}
