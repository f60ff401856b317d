import type { TensorRun, TensorRunner } from "./task.ts";

/** A session that is somewhere else. */
export interface RemoteRunner {
  /** As `TensorRunner`'s, later. */
  run(feeds: Parameters<TensorRunner["run"]>[0]): Promise<ReturnType<TensorRunner["run"]>>;
}

/** Runs a task on the session of this isolate. @throws what the task and the session throw */
export function runHere<R>(run: TensorRun<R>, session: TensorRunner): R {
  let step = run.next();
  while (step.done !== true) step = run.next(session.run(step.value));
  return step.value;
}

/** Runs a task on a session elsewhere. @throws what the task and the session throw */
export async function runThere<R>(run: TensorRun<R>, session: RemoteRunner): Promise<R> {
  let step = run.next();
  while (step.done !== true) step = run.next(await session.run(step.value));
  return step.value;
}
