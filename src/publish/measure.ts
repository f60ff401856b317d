import { startOrt } from "../runtime/ort-module.ts";
import { type SessionSource, createSession } from "../runtime/create-session.ts";
import { runtimeModule } from "./runtime.ts";
import { feedsOf, type Fixtures } from "./source.ts";

/** Length in bytes of the linear memory once the model is loaded and has run every fixture. */
export async function measureHeap(source: SessionSource, fixtures: Fixtures): Promise<number> {
  const session = createSession(await startOrt(await runtimeModule()), source);
  for (const one of fixtures.cases) session.run(feedsOf(one));
  return session.heapBytes;
}
