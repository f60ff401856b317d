import { NearsideError } from "../errors.ts";
import type { ControlContext } from "./context.ts";

/** @throws NearsideError `rollout_running` when a rollout of the model goes on, which owns its flag and `stable` */
export async function refuseWhileRunning(
  { rolloutsOf }: Pick<ControlContext, "rolloutsOf">,
  model: string,
  what: string,
): Promise<void> {
  if (!(await rolloutsOf(model).isRunning())) return;
  throw new NearsideError(
    "rollout_running",
    `A rollout of "${model}" is running, and ${what} is its own meanwhile. Wait for its end, or end it: ` +
      `POST /v1/models/${model}/rollout/abort (or promote).`,
    { field: "model" },
  );
}
