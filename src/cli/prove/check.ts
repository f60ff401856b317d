/** What a check measured: shown to a person, and collected in the last line. */
export type Figures = Readonly<Record<string, number | string>>;

/** One thing that is claimed. `run` throws when it does not hold. */
export interface Check<Subject> {
  /** As a claim: "the first caller's cancellation harms no other". */
  readonly claim: string;
  run(subject: Subject): Promise<Figures>;
}

/** A claim that does not hold, with what was measured all the same. */
export class CheckFailure extends Error {
  override readonly name = "CheckFailure";
  readonly figures: Figures;

  constructor(problems: readonly string[], figures: Figures) {
    super(problems.join("; "));
    this.figures = figures;
  }
}

/** Throws unless it holds; the message says what was seen. */
export function hold(holds: boolean, seen: string): asserts holds {
  if (!holds) throw new Error(seen);
}

export interface Verdict {
  readonly holds: boolean;
  readonly figures: Record<string, number | string>;
}

/** Runs the checks one after the other, saying what each found; a failed one does not stop the others. */
export async function runChecks<Subject>(
  checks: readonly Check<Subject>[],
  subject: Subject,
): Promise<Verdict> {
  const figures: Record<string, number | string> = {};
  let holds = true;
  for (const { claim, run } of checks) {
    const started = performance.now();
    try {
      const found = await run(subject);
      Object.assign(figures, found);
      const shown = Object.entries(found).map(([name, value]) => `${name} ${value}`);
      console.log(
        `  holds   ${claim} (${seconds(started)}${shown.length > 0 ? `; ${shown.join(", ")}` : ""})`,
      );
    } catch (error) {
      holds = false;
      if (error instanceof CheckFailure) Object.assign(figures, error.figures);
      console.log(
        `  FAILS   ${claim} (${seconds(started)})\n          ${(error as Error).message}`,
      );
    }
  }
  return { holds, figures };
}

function seconds(started: number): string {
  return `${((performance.now() - started) / 1000).toFixed(1)} s`;
}

/** At most `digits` after the point, for figures. */
export function rounded(value: number, digits = 4): number {
  return Number(value.toFixed(digits));
}
