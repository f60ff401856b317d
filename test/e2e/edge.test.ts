import { afterAll, beforeAll, describe, it } from "vitest";

import { type LocalStack } from "../../src/cli/local-stack.ts";
import { EDGE_CHECKS } from "../../src/cli/prove/edge/prove-edge.ts";
import { serve } from "../../src/cli/serve.ts";

/** The claims that `npm run prove -- edge` shows, against the bundled Worker and the models that ship. */
describe("the edge, from outside", () => {
  let stack: LocalStack;
  beforeAll(async () => {
    stack = await serve({ edgePort: 0 }, () => {});
  });
  afterAll(() => stack?.stop());

  for (const { claim, run } of EDGE_CHECKS) {
    it(claim, async () => {
      await run({ edgeUrl: stack.edgeUrl });
    });
  }
});
