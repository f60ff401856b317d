import { curlLine, modelFolders, readExample, send } from "./examples.ts";
import { parseOptions } from "./options.ts";
import { serve } from "./serve.ts";

/** Numbers of an embedding that are shown before the rest is counted. */
const SHOWN_NUMBERS = 4;

/** `npm run demo`: the local stack on free ports, and one real request to each model. */
export async function demo(words: readonly string[]): Promise<number> {
  parseOptions(words, {}, "npm run demo");
  const stack = await serve({ edgePort: 0 }, (line) => console.log(line));
  let failures = 0;
  try {
    for (const folder of await modelFolders()) {
      const example = await readExample(folder);
      console.log(`\n── ${example.model} ${"─".repeat(60 - example.model.length)}`);
      console.log(`${example.question}\n\n$ ${curlLine(stack.edgeUrl, example)}\n`);
      const response = await send(stack.edgeUrl, example);
      const answer: unknown = await response.json();
      console.log(present(answer));
      console.log(
        `\n${response.status}, version ${response.headers.get("nearside-version") ?? "-"}, ` +
          `${response.headers.get("nearside-start") ?? "-"}; ${response.headers.get("server-timing") ?? ""}`,
      );
      if (!response.ok) failures++;
    }
  } finally {
    await stack.stop();
  }
  console.log(failures === 0 ? "\nEvery model answered." : `\n${failures} requests failed.`);
  return failures === 0 ? 0 : 1;
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
