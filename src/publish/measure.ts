import { startOrt } from "../runtime/ort-module.ts";
import { type SessionSource, createSession } from "../runtime/create-session.ts";
import { runtimeModule } from "./runtime.ts";
import { type Fixtures, toTensor } from "./source.ts";

/** Length in bytes of the linear memory once the model is loaded and has run every fixture. */
export async function measureHeap(source: SessionSource, fixtures: Fixtures): Promise<number> {
  const session = createSession(await startOrt(await runtimeModule()), source);
  for (const { inputs } of fixtures.cases) {
    session.run(
      Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, toTensor(tensor)])),
    );
  }
  return session.heapBytes;
}
