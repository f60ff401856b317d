import path from "node:path";

import { ROOT } from "../publish/workspace.ts";
import { type ExampleRequest, curlLine, modelFolders, readExample, send } from "./examples.ts";
import { parseOptions } from "./options.ts";
import { serve } from "./serve.ts";

/** Numbers of an embedding that are shown before the rest is counted. */
const SHOWN_NUMBERS = 4;

/** A model that both places answer, and one that only the origin does. */
const BOTH_PLACES = "minilm";
const ORIGIN_ONLY = "scribe";

/** `npm run demo`: the local stack on free ports, and one real request to each model. */
export async function demo(words: readonly string[]): Promise<number> {
  parseOptions(words, {}, "npm run demo");
  const { edgeUrl, stop } = await serve({ edgePort: 0 }, (line) => console.log(line));
  let failures = 0;
  const count = (isGood: boolean): void => void (failures += isGood ? 0 : 1);
  try {
    for (const folder of await modelFolders())
      count(await show(edgeUrl, await readExample(folder)));
    const elsewhere = { "nearside-placement": "origin" };
    count(await show(edgeUrl, await exampleOf(BOTH_PLACES), elsewhere));
    count(await showStream(edgeUrl, await exampleOf(ORIGIN_ONLY)));
  } finally {
    await stop();
  }
  console.log(failures === 0 ? "\nEvery model answered." : `\n${failures} requests failed.`);
  return failures === 0 ? 0 : 1;
}

const exampleOf = (model: string) => readExample(path.join(ROOT, "models", model));

type Headers = Readonly<Record<string, string>>;

/** @returns whether the answer is a good one */
async function show(edgeUrl: string, example: ExampleRequest, headers?: Headers): Promise<boolean> {
  const response = await ask(edgeUrl, example, headers);
  console.log(present(await response.json()));
  console.log(`\n${howAnswered(response)}`);
  return response.ok;
}

/** The same for an answer that comes while it is written. */
async function showStream(edgeUrl: string, example: ExampleRequest): Promise<boolean> {
  const response = await ask(edgeUrl, example);
  let isDone = false;
  if (response.ok && response.body !== null) {
    for await (const data of eventsOf(response.body)) {
      isDone = data === "[DONE]";
      if (!isDone) process.stdout.write(textOf(data));
    }
  } else {
    process.stdout.write(await response.text());
  }
  console.log(`\n\n${howAnswered(response)}`);
  return isDone;
}

async function ask(edgeUrl: string, example: ExampleRequest, headers: Headers = {}) {
  const options = Object.entries(headers).map(([name, value]) => ` -H '${name}: ${value}'`);
  console.log(`\n── ${example.model} ${"─".repeat(60 - example.model.length)}`);
  console.log(`${example.question}\n\n$ ${curlLine(edgeUrl, example)}${options.join("")}\n`);
  return send(edgeUrl, example, headers);
}

function howAnswered({ status, headers }: Response): string {
  const said = (name: string): string => headers.get(`nearside-${name}`) ?? "-";
  return (
    `${status}, version ${said("version")}, at the ${said("placement")} (${said("placement-reason")}), ` +
    `${said("start")}; ${headers.get("server-timing") ?? ""}`
  );
}

/** What follows `data: ` in a stream of server-sent events. */
async function* eventsOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("data: ")) yield line.slice("data: ".length);
  }
}

/** The text of one event of a completion. */
function textOf(data: string): string {
  const { choices } = JSON.parse(data) as { choices?: readonly { text?: string }[] };
  return choices?.[0]?.text ?? "";
}

/** JSON for a reader: numbers short, long rows of numbers cut. */
function present(value: unknown, indent = ""): string {
  if (typeof value === "number") return String(Number(value.toPrecision(4)));
  if (!Array.isArray(value)) {
    return JSON.stringify(value, (_, inner: unknown) =>
      typeof inner === "number" ? Number(inner.toPrecision(4)) : inner,
    );
  }
  if (value.every((one) => typeof one === "number")) {
    const shown = value.slice(0, SHOWN_NUMBERS).map((one) => present(one));
    const rest = value.length - shown.length;
    return `[${shown.join(", ")}${rest > 0 ? `, … ${rest} more numbers` : ""}]`;
  }
  const inner = `${indent}  `;
  return `[\n${value.map((one) => inner + present(one, inner)).join(",\n")}\n${indent}]`;
}
