/**
 * Runs `work` while the clocks of this process stand still. ORT notes when things happened, in memory that
 * becomes a snapshot: with moving clocks no two snapshots of a model would be the same bytes.
 */
export function withFrozenClock<T>(work: () => T): T {
  const { now } = Date;
  Date.now = () => 0;
  // The glue adds the two; own properties hide the ones of the prototype.
  Object.defineProperties(performance, {
    now: { value: () => 0, configurable: true },
    timeOrigin: { value: 0, configurable: true },
  });
  try {
    return work();
  } finally {
    Date.now = now;
    Reflect.deleteProperty(performance, "now");
    Reflect.deleteProperty(performance, "timeOrigin");
  }
}

let withoutLanguage = 0;

/**
 * Runs `work` in a process that has no language. The glue writes the user's into the memory of an instance
 * that starts (`LANG`): two people would take different snapshots of the same model.
 */
export async function withNoLanguage<T>(work: () => Promise<T>): Promise<T> {
  if (withoutLanguage++ === 0) {
    Object.defineProperty(navigator, "language", { value: "C", configurable: true });
  }
  try {
    return await work();
  } finally {
    if (--withoutLanguage === 0) Reflect.deleteProperty(navigator, "language");
  }
}
