import { type CatalogSource, STABLE } from "../../catalog/catalog.ts";
import { changeCatalog, planChange } from "../../catalog/changes.ts";
import { diffCatalogs } from "../../catalog/diff.ts";
import { UserError } from "../user-error.ts";
import type { Command } from "./command.ts";
import { catalogSource } from "./inventory.ts";
import { didYouMean } from "./nearest.ts";
import { wholeWord } from "./parse.ts";
import { changedText } from "./present.ts";
import { table } from "./table.ts";
import { UsageError } from "./usage-error.ts";

const LABEL = /^[a-z][a-z0-9-]{0,31}$/;

type Corpus = NonNullable<CatalogSource["corpora"]>[string];

/** `nearside corpus label` */
export const corpusLabel: Command = {
  summary: "list the labels of a corpus, move one, or delete one",
  usage: "corpus label <corpus> [<label>] [<version>] [--delete] [--dry-run]",
  options: { delete: { type: "boolean" }, "dry-run": { type: "boolean" } },
  help: `A label is a movable name for a version. A request for "docs" gets "stable", where that has vectors of the
model's version that answers, and else the newest version that has; "docs@canary" gets the label's own.

  --delete    delete the label
  --dry-run   show what would change, and change nothing

Examples:
  npx nearside corpus label docs
  npx nearside corpus label docs stable 2
  npx nearside corpus label docs canary --delete`,

  async run({ words: [name = "", label, number], options, target }) {
    const removes = options["delete"] === true;
    const dryRun = options["dry-run"] === true;
    const store = await target();
    const corpus = corpusIn(await catalogSource(store.bucket), name, store.where);
    if (label === undefined) return list(name, corpus);
    if (!LABEL.test(label)) throw new UsageError(`"${label}" is no label.`);
    if (removes === (number !== undefined)) {
      throw new UsageError("A label is moved to a version, or deleted with --delete.");
    }
    if (removes && label === STABLE) throw new UserError(`"${STABLE}" can be moved, not deleted.`);
    const version = number === undefined ? undefined : wholeWord("<version>", number, 1);
    const mutate = (source: CatalogSource): CatalogSource => {
      const known = corpusIn(source, name, store.where);
      const { [label]: _, ...others } = known.labels;
      const labels = version === undefined ? others : { ...known.labels, [label]: version };
      return { ...source, corpora: { ...source.corpora, [name]: { ...known, labels } } };
    };
    const change =
      version === undefined
        ? `${label} of corpus ${name} is removed`
        : `${label} of corpus ${name} names version ${version}`;
    const { before, after } = dryRun
      ? await planChange(store, mutate)
      : await changeCatalog(store, { by: "nearside", change, now: Date.now() }, mutate);
    const changed = {
      catalog: after.number,
      changes: diffCatalogs(before, after).map((one) => ({ ...one })),
      ...(dryRun && { dryRun: true as const }),
    };
    return { json: changed, text: changedText(changed) };
  },
};

function list(name: string, { labels }: Corpus) {
  const rows = Object.entries(labels).map(([label, version]) => [label, String(version)]);
  return { json: { name, labels }, text: table([["label", "version"], ...rows]) };
}

function corpusIn({ corpora = {} }: CatalogSource, name: string, where: string): Corpus {
  const corpus = Object.hasOwn(corpora, name) ? corpora[name] : undefined;
  if (corpus !== undefined) return corpus;
  const hint = didYouMean(name, Object.keys(corpora));
  throw new UserError(`There is no corpus "${name}" in ${where}.${hint}`);
}
