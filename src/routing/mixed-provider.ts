import type { FlagSet } from "../catalog/catalog.ts";
import type { FlagProvider } from "./flag-provider.ts";

/** A flag's metadata that says who evaluates it: `{"metadata": {"provider": "flagship"}}`. */
const FLAGSHIP = "flagship";

/** An answer waits for a provider elsewhere so long, then `stable` gives it. */
const PATIENCE_MS = 250;

/**
 * flagd for every flag, but Flagship for those that say so: rollouts write flagd's rules, whoever evaluates
 * the operator's own flags.
 */
export function mixedProvider(
  flags: FlagSet,
  flagd: FlagProvider,
  flagship: FlagProvider,
): FlagProvider {
  return {
    metadata: { name: `${flagd.metadata.name}+${flagship.metadata.name}` },
    resolveObjectEvaluation(key, defaultValue, context) {
      const metadata = flags.flags[key]?.["metadata"];
      const isElsewhere =
        typeof metadata === "object" &&
        metadata !== null &&
        "provider" in metadata &&
        metadata.provider === FLAGSHIP;
      return isElsewhere
        ? inTime(flagship.resolveObjectEvaluation(key, defaultValue, context))
        : flagd.resolveObjectEvaluation(key, defaultValue, context);
    },
  };
}

/** @throws Error when it takes too long, which the choice of a version takes for a fault of the flag */
async function inTime<T>(evaluation: T | Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    return await Promise.race([
      evaluation,
      new Promise<never>((_, reject) => {
        timer = setTimeout(
          () => reject(new Error(`The flag was not evaluated within ${PATIENCE_MS} ms.`)),
          PATIENCE_MS,
        );
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}
