import type { Feeds, Step, TensorRun, TensorRunner } from "./task.ts";

/** A session that is somewhere else. */
export interface RemoteRunner {
  /** As `TensorRunner`'s, later. */
  run(feeds: Feeds): Promise<ReturnType<TensorRunner["run"]>>;
  /** As `TensorRunner`'s. */
  member?(name: string): RemoteRunner;
}

/** Runs a task on the session of this isolate. @throws what the task and the session throw */
export function runHere<R>(run: TensorRun<R>, session: TensorRunner): R {
  let step = run.next();
  while (step.done !== true) step = run.next(runnerFor(session, step.value).run(step.value.feeds));
  return step.value;
}

/** Runs a task on a session elsewhere. @throws what the task and the session throw */
export async function runThere<R>(run: TensorRun<R>, session: RemoteRunner): Promise<R> {
  let step = run.next();
  while (step.done !== true) {
    step = run.next(await runnerFor(session, step.value).run(step.value.feeds));
  }
  return step.value;
}

/** The graph that a step is for. */
function runnerFor<R extends { member?(name: string): R }>(session: R, { member }: Step): R {
  if (member === undefined) return session;
  if (session.member === undefined) throw new Error(`There is one graph here, and no "${member}".`);
  return session.member(member);
}
