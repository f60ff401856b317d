import { STABLE } from "../../catalog/catalog.ts";
import { readManifest } from "../../catalog/compile.ts";
import type { Manifest } from "../../catalog/manifest.ts";
import { publishCorpus } from "../../publish/corpus/publish-corpus.ts";
import { rowsOfPlace } from "../../publish/corpus/rows.ts";
import { size } from "../../publish/size.ts";
import type { Target } from "../target.ts";
import { UserError } from "../user-error.ts";
import type { Command, CommandContext } from "./command.ts";
import { catalogSource } from "./inventory.ts";
import { didYouMean } from "./nearest.ts";
import { wholeNumber } from "./parse.ts";
import { UsageError } from "./usage-error.ts";

const NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/;
const LABEL = /^[a-z][a-z0-9-]{0,31}$/;

/** What wrangler.toml gives an isolate. */
const ISOLATE_BYTES = 96 * 1024 * 1024;

/** `nearside corpus publish` */
export const corpusPublish: Command = {
  summary: "make a corpus of texts or vectors, and publish it",
  usage: "corpus publish <file or folder> --name NAME --model MODEL",
  options: {
    name: { type: "string" },
    model: { type: "string" },
    version: { type: "string" },
    label: { type: "string" },
    text: { type: "boolean" },
    description: { type: "string" },
    licence: { type: "string" },
  },
  help: `Publishes a version of a corpus, which requests then search with the model:
  {"inputs": "a text", "parameters": {"corpus": "docs", "top": 3, "filter": {"lang": "en"}}}

A file has a row in each line, as JSON:
  {"id": "a1", "text": "The text.", "metadata": {"lang": "en", "year": 2024}}
  {"id": "a2", "vector": [0.1, …], "metadata": {"lang": "de"}}
A row without a vector gets the model's for its text: some 100 to 200 texts of a sentence in a second, so that
100,000 take a quarter of an hour. What is done is kept on this machine: interrupted and run again, it goes on,
and a later version computes only the texts that are new. A folder may hold several such files (.jsonl), and texts
(.txt, .md) whose ids are their paths. Metadata are strings, numbers and booleans: one type for each name.

Vectors are kept as signed bytes and a length, 100,000 of 384 dimensions in 40 MB, beside the model in one
isolate of 96 MB. A version never changes; rows that a version has already publish nothing, unless --version says so.

  --name <corpus>          what requests call it
  --model <model>          whose vectors: minilm, or minilm@2 for another version than "stable"
  --version <n>            instead of the next one
  --label <label>          move a label to it; the first version is "stable" by itself
  --text                   keep the texts, and answer with them
  --description <text>     for \`nearside corpus list\`
  --licence <expression>   of what the corpus holds

Examples:
  npx nearside corpus publish faq.jsonl --name faq --model minilm --text
  npx nearside corpus publish docs/ --name docs --model minilm@2 --label stable --remote`,

  async run(context) {
    const [place = ""] = context.words;
    const name = needed(context, "name", NAME);
    const reference = needed(context, "model", /^[a-z0-9][a-z0-9_-]*(@[a-z0-9-]+)?$/);
    const { version, text, description, licence } = context.options;
    const source = await rowsOfPlace(place);
    const target = await context.target();
    const model = await modelOf(target, reference);
    const { manifest, present } = await publishCorpus(
      source,
      {
        name,
        model,
        texts: text === true,
        version: typeof version === "string" ? wholeNumber("version", version, 1) : undefined,
        description: typeof description === "string" ? description : undefined,
        licence: typeof licence === "string" ? licence : undefined,
        label: context.options["label"] === undefined ? undefined : needed(context, "label", LABEL),
      },
      target,
      context.say,
    );
    const headline = present
      ? `${name} ${manifest.version} was published already, with the same rows, in ${target.where}.`
      : `${name} ${manifest.version} is published in ${target.where}: ${manifest.count} rows, ${size(manifest.snapshot.bytes)}.`;
    const isOther =
      (typeof description === "string" && description !== manifest.description) ||
      (typeof licence === "string" && licence !== manifest.licence);
    const stays = isOther
      ? [
          "Its description and licence stay as they were: a version never changes. Say --version for another one.",
        ]
      : [];
    return {
      json: { published: true, present, manifest },
      text: [headline, ...stays, ...doesNotFit(manifest.memory, model)].join("\n"),
    };
  },
};

function doesNotFit(memory: Manifest["memory"], model: Manifest): string[] {
  const own = model.memory.heapBytes + model.memory.taskBytes;
  if (memory.heapBytes + own <= ISOLATE_BYTES) return [];
  return [
    `It needs ${size(memory.heapBytes)} of memory, ${model.name} ${size(own)}, and an isolate has ${size(ISOLATE_BYTES)}: ` +
      "requests that search it are refused, unless an origin pool computes their vectors.",
  ];
}

function needed({ options }: CommandContext, option: string, form: RegExp): string {
  const value = options[option];
  if (typeof value === "string" && form.test(value)) return value;
  throw new UsageError(
    value === undefined
      ? `\`nearside corpus publish\` needs --${option}.`
      : `--${option} takes a name of lower-case letters and digits, not "${String(value)}".`,
  );
}

/** @throws UserError when there is no such model or version */
async function modelOf({ bucket, where }: Target, reference: string): Promise<Manifest> {
  const [name = "", which = STABLE] = reference.split("@");
  const { models } = await catalogSource(bucket);
  const model = Object.hasOwn(models, name) ? models[name] : undefined;
  if (model === undefined) {
    const hint = didYouMean(name, Object.keys(models));
    throw new UserError(`There is no model "${name}" in ${where}.${hint}`);
  }
  const version = Object.hasOwn(model.labels, which) ? model.labels[which] : Number(which);
  if (version !== undefined && model.versions.includes(version)) {
    return readManifest(bucket, name, version);
  }
  const known = [...model.versions, ...Object.keys(model.labels)].join(", ");
  throw new UserError(`${name} has no version or label "${which}"; there are ${known}.`);
}
