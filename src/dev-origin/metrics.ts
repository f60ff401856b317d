/** Every counter with its help; a name without a line here does not compile. */
const HELP = {
  requests: "Requests answered, by status.",
  refused: "Requests whose signature was refused, by reason.",
  inferences: "Runs of a model that a request asked for, by model.",
  generations: "Generations of text begun, by model.",
  generated_tokens: "Tokens generated, by model.",
  cancelled_generations: "Generations ended because their caller had left, by model.",
} as const;

export type CounterName = keyof typeof HELP;

const LABEL: { readonly [N in CounterName]: string } = {
  requests: "status",
  refused: "reason",
  inferences: "model",
  generations: "model",
  generated_tokens: "model",
  cancelled_generations: "model",
};

const PREFIX = "nearside_dev_origin_";

/** Counters of the development origin. */
export class Metrics {
  readonly #counts = new Map<CounterName, Map<string, number>>();

  /** @param value of the counter's one label */
  count(name: CounterName, value: string, by = 1): void {
    const counts = this.#counts.get(name) ?? new Map<string, number>();
    this.#counts.set(name, counts);
    counts.set(value, (counts.get(value) ?? 0) + by);
  }

  get(name: CounterName, value: string): number {
    return this.#counts.get(name)?.get(value) ?? 0;
  }

  /** Prometheus' text format; gauges are read when it is asked for. */
  text(gauges: Readonly<Record<string, number>>): string {
    const lines: string[] = [];
    for (const [name, help] of Object.entries(HELP) as [CounterName, string][]) {
      const metric = `${PREFIX}${name}_total`;
      lines.push(`# HELP ${metric} ${help}`, `# TYPE ${metric} counter`);
      for (const [value, count] of this.#counts.get(name) ?? []) {
        lines.push(`${metric}{${LABEL[name]}="${value}"} ${count}`);
      }
    }
    for (const [name, value] of Object.entries(gauges)) {
      lines.push(`# TYPE ${PREFIX}${name} gauge`, `${PREFIX}${name} ${value}`);
    }
    return `${lines.join("\n")}\n`;
  }
}
