import { createRequire } from "node:module";
import path from "node:path";

/** The repository's root. */
export const ROOT = path.resolve(import.meta.dirname, "../..");

/** Everything that is generated: the runtime, built models, the local stack's state. Git ignores it. */
export const GENERATED = path.join(ROOT, ".nearside");

const require = createRequire(import.meta.url);

/** Absolute path of a file inside an installed package. */
export function packageFile(specifier: string): string {
  return require.resolve(specifier);
}
