import { inject } from "vitest";
import type { TestProject } from "vitest/node";

import type { LocalStack } from "../../src/cli/local-stack.ts";
import { serve } from "../../src/cli/serve.ts";

/** Where the stack of `npm start` runs, for tests that share one: it takes long to come up. */
export type Served = Pick<LocalStack, "edgeUrl" | "controlUrl" | "adminToken">;

declare module "vitest" {
  interface ProvidedContext {
    served: Served;
  }
}

/** The stack that all files of the project "e2e" share. What one of them publishes or buys, the others see. */
export const served = (): Served => inject("served");

/** Starts it before the first file. @returns what stops it after the last */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { edgeUrl, controlUrl, adminToken, stop } = await serve({ edgePort: 0 }, () => {});
  project.provide("served", { edgeUrl, controlUrl, adminToken });
  return stop;
}
