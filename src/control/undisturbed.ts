import { NearsideError } from "../errors.ts";

/** How often a change is looked at anew because others write at the same time. */
const ATTEMPTS = 5;

/**
 * Does something that only counts while nobody else changes what it looked at.
 *
 * @param attempt undefined when somebody was faster
 * @throws NearsideError `catalog_busy`
 */
export async function untilUndisturbed<T>(
  what: string,
  attempt: () => Promise<T | undefined>,
): Promise<T> {
  for (let time = 0; time < ATTEMPTS; time++) {
    const done = await attempt();
    if (done !== undefined) return done;
  }
  throw new NearsideError("catalog_busy", `The ${what} keeps changing; try again.`, {
    retryAfterSeconds: 1,
  });
}
