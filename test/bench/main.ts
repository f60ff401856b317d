import { UserError } from "../../src/cli/user-error.ts";
import { parseOptions } from "../../src/cli/options.ts";
import { type Report, table, writePicture } from "./report.ts";

type Benchmark = (samples: number, say: (line: string) => void) => Promise<Report>;

interface Entry {
  readonly load: () => Promise<Benchmark>;
  readonly samples: number;
}

const BENCHMARKS: Readonly<Record<string, Entry>> = {
  admission: { load: async () => (await import("./admission.ts")).admission, samples: 9 },
  cold: { load: async () => (await import("./cold.ts")).cold, samples: 7 },
  memory: { load: async () => (await import("./memory.ts")).memory, samples: 1 },
  native: { load: async () => (await import("./native.ts")).native, samples: 9 },
  origin: { load: async () => (await import("./origin.ts")).origin, samples: 5 },
  pool: { load: async () => (await import("./pool.ts")).pool, samples: 5 },
  routing: { load: async () => (await import("./routing.ts")).routing, samples: 9 },
  search: { load: async () => (await import("./search.ts")).search, samples: 5 },
  shadow: { load: async () => (await import("./shadow.ts")).shadow, samples: 9 },
  wire: { load: async () => (await import("./wire.ts")).wire, samples: 9 },
  warm: { load: async () => (await import("./warm.ts")).warm, samples: 9 },
};

/** `npm run bench -- <what> [--samples N] [--json]` */
export async function bench([what = "", ...words]: readonly string[]): Promise<number> {
  const usage = `npm run bench -- ${Object.keys(BENCHMARKS).join("|")} [--samples N] [--json]`;
  const entry = BENCHMARKS[what];
  if (entry === undefined) throw new UserError(`Usage: ${usage}`);
  const options = parseOptions(
    words,
    { json: { type: "boolean", default: false }, samples: { type: "string" } },
    usage,
  );
  const samples = Number(options.samples ?? entry.samples);
  if (!Number.isInteger(samples) || samples < 1) {
    throw new UserError("--samples takes a whole number, 1 or more.");
  }
  const run = await entry.load();
  // Progress goes to the other stream: what is piped on is the document.
  const report = await run(samples, (line) => console.error(`bench ${what}: ${line}`));
  if (options.json) {
    console.log(JSON.stringify({ bench: what, cases: report.cases }));
    return 0;
  }
  console.log(`\n${table(report.columns, report.rows)}\n`);
  console.log("Medians, and the range of all samples in brackets.");
  console.log(`Picture: ${await writePicture(what, report.picture)}`);
  return 0;
}
