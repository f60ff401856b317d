import { serve } from "../../serve.ts";
import { type Verdict, runChecks } from "../check.ts";
import { testsPass } from "../tests-pass.ts";
import { cleanClone } from "./clean-clone.ts";
import { embeddings } from "./embeddings.ts";
import { fuzzing } from "./fuzzing.ts";
import { languages } from "./languages.ts";
import { sharedLoading } from "./shared-loading.ts";
import { sameAsNative } from "./same-as-native.ts";
import { speech } from "./speech.ts";

/** The checks that need nothing but a running edge; the end-to-end tests run the same ones. */
export const EDGE_CHECKS = [sharedLoading, embeddings, sameAsNative, languages, speech, fuzzing];

/** Single-flight loading, eviction, accounting, leaks, repairs and calls on bindings are seen from inside. */
const insideWorkerd = testsPass(
  "the tests inside workerd pass: one load for twenty, exact eviction, no leak, repairs, no I/O when warm",
  "workerd",
  [],
  "workerdTestsPassed",
);

/** `npm run prove -- edge` */
export async function proveEdge(): Promise<Verdict> {
  console.log("Against a running edge:");
  const stack = await serve({ edgePort: 0 }, (line) => console.log(`  ${line}`));
  const running = await runChecks(EDGE_CHECKS, { edgeUrl: stack.edgeUrl }).finally(() =>
    stack.stop(),
  );
  console.log("Inside workerd:");
  const inside = await runChecks([insideWorkerd], undefined);
  console.log("From nothing:");
  const fresh = await runChecks([cleanClone], undefined);
  return {
    holds: running.holds && inside.holds && fresh.holds,
    figures: { ...running.figures, ...inside.figures, ...fresh.figures },
  };
}
