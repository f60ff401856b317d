import * as v from "valibot";

import { Price } from "../../billing/price.ts";
import { UserError } from "../user-error.ts";
import type { Command, OptionValue } from "./command.ts";
import { ControlError } from "./control-error.ts";
import { Changed } from "./control-schemas.ts";
import { cost } from "./dollars.ts";
import { wholeNumber, wholeWord } from "./parse.ts";
import { timeOf } from "./period.ts";
import { changedText } from "./present.ts";
import { ratesText, scopeText } from "./price.ts";
import { UsageError } from "./usage-error.ts";

/** `nearside price add` */
export const priceAdd: Command = {
  summary: "add a price, from now or from a time to come",
  usage:
    "price add <price> <model> [--request <dollars>] [--unit <unit>=<dollars>...] [--free <unit>=<n>] [--tier <unit>:<above>=<dollars>...] [--version <n>] [--placement edge|origin] [--from <time>] [--force] [--dry-run]",
  options: {
    request: { type: "string" },
    unit: { type: "string", multiple: true },
    free: { type: "string", multiple: true },
    tier: { type: "string", multiple: true },
    version: { type: "string" },
    placement: { type: "string" },
    from: { type: "string" },
    force: { type: "boolean" },
    "dry-run": { type: "boolean" },
  },
  help: `Adds a price under an id of your choice. A price never changes: another one takes its place from some time
on. <model> is a model's name, or "*" for every model. Amounts are dollars with at most nine decimals.

  --request <dollars>               per request
  --unit <unit>=<dollars>           per unit that the model counts: items, tokens, …; again for another one
  --free <unit>=<n>                 so many units of each month cost nothing
  --tier <unit>:<above>=<dollars>   units above so many in a month cost less
  --version <n>                     of this version alone
  --placement edge|origin           where the edge answers, or where the origin does
  --from <time>                     such as 2027-01-01 or 2027-01-01T12:00:00Z (UTC); now when absent
  --force                           more than $10,000 for one request or unit are meant
  --dry-run                         show what would change, and change nothing

Examples:
  npx nearside price add embed-1 minilm --unit tokens=0.00000002
  npx nearside price add all-2027 '*' --request 0.00001 --from 2027-01-01
  npx nearside price add embed-2 minilm --unit tokens=0.00000002 --free tokens=1000000 --tier tokens:50000000=0.00000001`,

  async run({ words: [id = "", model = ""], options, control }) {
    const price = priceOf(id, model, options);
    const client = await control();
    const dryRun = options["dry-run"] === true;
    const request = {
      method: "POST",
      body: price,
      dryRun,
      force: options["force"] === true,
    } as const;
    const changed = await client.change("/v1/prices", Changed, request).catch((error: unknown) => {
      throw error instanceof ControlError && error.status === 412 ? taken(id) : error;
    });
    const words = `${price.id}: ${scopeText(price)} costs ${ratesText(price)}, from ${price.from}`;
    return { json: changed, text: `${words}\n${changedText(changed)}` };
  },
};

const taken = (id: string): UserError =>
  new UserError(
    `There is a price "${id}" already, and a price never changes: give the new one another id.`,
  );

type Options = Readonly<Record<string, OptionValue>>;

function priceOf(id: string, model: string, options: Options): Price {
  const { request, version, placement, from } = options;
  const free = pairs("free", options).map(([unit, n]) => [unit, wholeNumber("free", n, 0)]);
  const tiers = tiersOf(options);
  const price = {
    id,
    model,
    ...(typeof version === "string" && { version: wholeNumber("version", version, 1) }),
    ...(typeof placement === "string" && { placement }),
    perRequest: typeof request === "string" ? cost("--request", request) : 0,
    perUnit: Object.fromEntries(
      pairs("unit", options).map(([unit, each]) => [unit, cost("--unit", each)]),
    ),
    ...(free.length > 0 && { free: Object.fromEntries(free) as object }),
    ...(Object.keys(tiers).length > 0 && { tiers }),
    from: startOf(from),
  };
  const parsed = v.safeParse(Price, price);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const place = v.getDotPath(issue);
  throw new UsageError(`This is no price: ${place === null ? "" : `${place} `}${issue.message}.`);
}

function tiersOf(options: Options): Price["tiers"] & object {
  const tiers: Record<string, { above: number; perUnit: number }[]> = {};
  for (const [place, each] of pairs("tier", options)) {
    const [unit = "", above = ""] = place.split(":");
    const step = { above: wholeWord("--tier <above>", above, 0), perUnit: cost("--tier", each) };
    (tiers[unit] ??= []).push(step);
  }
  return tiers;
}

/** `<name>=<value>`, as often as it was said. @throws UsageError */
function pairs(option: string, options: Options): [string, string][] {
  const given = options[option];
  const all = Array.isArray(given) ? (given as readonly unknown[]).map(String) : [];
  return all.map((text) => {
    const [name = "", value] = text.split("=");
    if (name !== "" && value !== undefined) return [name, value];
    const form = option === "tier" ? "tokens:1000000=0.00000001" : "tokens=…";
    throw new UsageError(`--${option} looks like ${form}, not "${text}".`);
  });
}

function startOf(text: OptionValue): string {
  if (typeof text !== "string") return new Date().toISOString();
  const at = timeOf(text);
  if (at !== undefined) return new Date(at).toISOString();
  throw new UsageError(`--from takes a time of UTC such as 2027-01-01, not "${text}".`);
}
