import { describe, expect, it } from "vitest";

import * as sdk from "../../src/client/index.ts";
import { FAULT_CASES } from "./suite-faults.ts";

/** Those that need no edge; test/e2e/client.test.ts runs all of them. */
describe("the client, on a network that fails", () => {
  it.each([...FAULT_CASES])("$title", async ({ run }) => {
    await expect(run({ sdk, options: { baseUrl: "https://edge.test" } })).resolves.toBeUndefined();
  });
});
