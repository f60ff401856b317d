import type { Logger } from "@openfeature/core";
import { FlagdCore } from "@openfeature/flagd-core";

import type { FlagProvider } from "./flag-provider.ts";

/** flagd's warnings are about the flag, which is checked before it is published; nobody reads them per request. */
const SILENT: Logger = { error() {}, warn() {}, info() {}, debug() {} };

/**
 * flagd's evaluator, in process: JsonLogic with `fractional`, `sem_ver`, `starts_with` and `$ref`
 * (https://flagd.dev/reference/flag-definitions/). Without `disableDynamicCodeGeneration` it would compile
 * rules with `new Function`, which workerd refuses, and quietly answer every flag's default.
 *
 * @param flags a flag definition: `{"flags": {…}, "$evaluators": {…}}`
 * @throws Error when the definition does not hold together
 */
export function flagdProvider(flags: object): FlagProvider {
  const core = new FlagdCore(undefined, SILENT, { disableDynamicCodeGeneration: true });
  core.setConfigurations(JSON.stringify(flags));
  return {
    metadata: { name: "flagd" },
    resolveObjectEvaluation(flagKey, defaultValue, context) {
      const flag = core.getFlag(flagKey);
      if (flag?.state !== "ENABLED") return { value: defaultValue, reason: "DISABLED" };
      // flagd's own checks of the type are the caller's: a variant may be a string, a number or an object.
      return flag.evaluate(context, SILENT) as ReturnType<FlagProvider["resolveObjectEvaluation"]>;
    },
  };
}
