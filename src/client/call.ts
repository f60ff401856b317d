import type { Reply } from "./caller.ts";

/** A value with what its answer says of itself, and the bytes that its receipt speaks of. */
export interface Answer<T> extends Reply {
  readonly value: T;
}

/**
 * A value on its way. Awaited it is the value alone; `withMeta` has the rest.
 *
 * @example
 * const scores = await nearside.predict("iris", row);
 * const { value, meta } = await nearside.predict("iris", row).withMeta();
 */
export interface Call<T> extends Promise<T> {
  /** @throws NearsideError */
  withMeta(): Promise<Answer<T>>;
}

export function callOf<T>(reply: Promise<Reply>, read: (reply: Reply) => T): Call<T> {
  const answer = reply.then((replied) => ({ ...replied, value: read(replied) }));
  const value = answer.then((answered) => answered.value);
  return Object.assign(value, {
    withMeta() {
      // Nobody waits for the value alone any more, and its failure is the answer's.
      value.catch(() => {});
      return answer;
    },
  });
}
