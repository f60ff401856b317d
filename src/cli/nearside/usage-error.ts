import { UserError } from "../user-error.ts";

/** Words that make no sense to a command: exit code 2. */
export class UsageError extends UserError {
  readonly code = "usage";
}
