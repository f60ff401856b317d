import { readFile, readdir } from "node:fs/promises";
import path from "node:path";

import * as v from "valibot";

import { readModelSource } from "../publish/source.ts";
import { ROOT } from "../publish/workspace.ts";

const MODELS = path.join(ROOT, "models");

/** `models/<name>/example.json`: one request that shows what the model is for. */
const Example = v.strictObject({
  question: v.string(),
  contentType: v.string(),
  /** `/v1/predict/<name>` when absent. */
  path: v.optional(v.string()),
  query: v.optional(v.string()),
  json: v.optional(v.unknown()),
  text: v.optional(v.string()),
  /** Beside example.json. */
  file: v.optional(v.string()),
});

export interface ExampleRequest {
  readonly model: string;
  readonly question: string;
  readonly path: string;
  readonly contentType: string;
  readonly body: Uint8Array;
  /** The body as curl's argument to --data-binary. */
  readonly curlData: string;
}

/** Folders of the models that ship and run at the edge. */
export async function modelFolders(): Promise<string[]> {
  const folders = await allModelFolders();
  const sources = await Promise.all(folders.map(readModelSource));
  return folders.filter((_, index) => sources[index]?.edge !== false);
}

/** The same without ensembles. */
export async function graphFolders(): Promise<string[]> {
  const folders = await modelFolders();
  const sources = await Promise.all(folders.map(readModelSource));
  return folders.filter((_, index) => sources[index]?.ensemble === undefined);
}

/** Folders of the models that ship, those for the origin too. */
export async function allModelFolders(): Promise<string[]> {
  const entries = await readdir(MODELS, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => path.join(MODELS, name))
    .toSorted();
}

export async function readExample(folder: string): Promise<ExampleRequest> {
  const model = path.basename(folder);
  const {
    question,
    contentType,
    path: own,
    query,
    json,
    text,
    file,
  } = v.parse(Example, JSON.parse(await readFile(path.join(folder, "example.json"), "utf8")));
  const source = file === undefined ? undefined : path.join(folder, file);
  const words = text ?? JSON.stringify(json);
  return {
    model,
    question,
    path: `${own ?? `/v1/predict/${model}`}${query === undefined ? "" : `?${query}`}`,
    contentType,
    body: source === undefined ? new TextEncoder().encode(words) : await readFile(source),
    curlData: source === undefined ? shellQuote(words) : `@${path.relative(process.cwd(), source)}`,
  };
}

/** A line to paste into a terminal. */
export function curlLine(edgeUrl: string, example: ExampleRequest): string {
  return `curl -s ${shellQuote(edgeUrl + example.path)} -H ${shellQuote(`content-type: ${example.contentType}`)} --data-binary ${example.curlData}`;
}

export async function send(
  edgeUrl: string,
  example: ExampleRequest,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return fetch(edgeUrl + example.path, {
    method: "POST",
    headers: { "content-type": example.contentType, ...headers },
    body: new Uint8Array(example.body),
  });
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
