import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { LocalStack } from "../../src/cli/local-stack.ts";
import { EDGE_CHECKS } from "../../src/cli/prove/edge/prove-edge.ts";
import { serve } from "../../src/cli/serve.ts";

/** The claims that `npm run prove -- edge` shows, against the bundled Worker and the models that ship. */
describe("the edge, from outside", () => {
  let stack: LocalStack;
  beforeAll(async () => {
    stack = await serve({ edgePort: 0 }, () => {});
  });
  afterAll(() => stack?.stop());

  it.each([...EDGE_CHECKS])("$claim", async ({ run }) => {
    // A check throws, saying what it saw, when its claim does not hold.
    await expect(run({ edgeUrl: stack.edgeUrl })).resolves.toBeTypeOf("object");
  });
});
