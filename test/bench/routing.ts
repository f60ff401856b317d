import type { Catalog, FlagSet } from "../../src/catalog/catalog.ts";
import { chooseVersion } from "../../src/routing/choose.ts";
import { flagdProvider } from "../../src/routing/flagd.ts";
import { manifestOf } from "../support/manifests.ts";
import { type Figure, figureOf } from "./figure.ts";
import { type Report, spread } from "./report.ts";

const CHOICES = 5_000;
const NANOSECONDS = 1e6;

/** Flags from none to more than most models will have; each names versions 1 and 2. */
const FLAGS: Readonly<Record<string, object | undefined>> = {
  "no flag": undefined,
  static: {},
  fractional: {
    targeting: {
      fractional: [
        ["current", 95],
        ["next", 5],
      ],
    },
  },
  "rules, then fractional": {
    targeting: {
      if: [
        { in: [{ var: "country" }, ["DE", "FR", "JP"]] },
        "current",
        { sem_ver: [{ var: "client" }, ">=", "2.1.0"] },
        "next",
        {
          fractional: [
            ["current", 50],
            ["next", 50],
          ],
        },
      ],
    },
  },
};

export interface RoutingCase {
  readonly flag: string;
  /** Microseconds of one choice. */
  readonly microseconds: Figure;
}

/** What the choice of a version costs, flagd's interpreter and all, in turn for every flag. */
export async function routing(
  samples: number,
  say: (line: string) => void,
): Promise<Report & { readonly cases: readonly RoutingCase[] }> {
  const names = Object.keys(FLAGS);
  const measured = new Map<string, number[]>(names.map((name) => [name, []]));
  for (let sample = 0; sample < samples + 1; sample++) {
    say(sample === 0 ? "warming up" : `sample ${sample} of ${samples}`);
    for (const name of names) {
      const microseconds = await measure(FLAGS[name]);
      if (sample > 0) measured.get(name)?.push(microseconds);
    }
  }
  const cases = names.map((flag) => ({ flag, microseconds: figureOf(measured.get(flag) ?? []) }));
  return {
    cases,
    columns: ["flag", "µs per choice"],
    rows: cases.map(({ flag, microseconds }) => [flag, spread(microseconds)]),
    picture: {
      title: "Choosing a version",
      unit: "µs",
      bars: cases.map(({ flag, microseconds }) => ({
        label: flag,
        figure: microseconds,
        kind: "flagd, interpreted",
      })),
    },
  };
}

async function measure(flag: object | undefined): Promise<number> {
  const catalog = catalogWith(flag);
  const provider = catalog.flags && flagdProvider(catalog.flags);
  const began = process.hrtime.bigint();
  for (let key = 0; key < CHOICES; key++) {
    const context = { targetingKey: `user-${key}`, country: "NL", client: "1.9.0" };
    await chooseVersion(catalog, { model: "m" }, { context }, provider);
  }
  return Number(process.hrtime.bigint() - began) / NANOSECONDS / (CHOICES / 1000);
}

function catalogWith(flag: object | undefined): Catalog {
  const flags: FlagSet = {
    flags: {
      m: {
        state: "ENABLED",
        variants: { current: "stable", next: { version: 2 } },
        defaultVariant: "current",
        ...flag,
      },
    },
  };
  return {
    schema: 1,
    number: 1,
    models: {
      m: {
        versions: { 1: manifestOf({ name: "m" }), 2: manifestOf({ name: "m", version: 2 }) },
        labels: { stable: 1 },
      },
    },
    ...(flag && { flags }),
  };
}
