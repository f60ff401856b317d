import languageDetection from "@vscode/vscode-languagedetection";

import { type Fixtures, readModelSource } from "../../src/publish/source.ts";

/** ASCII: TensorFlow.js reads other bytes differently, see graph.ts. */
const TEXTS: Readonly<Record<string, string>> = {
  rust: 'fn main() {\n    let names = vec!["Ada", "Grace"];\n    for name in &names {\n        println!("Hello, {name}!");\n    }\n}\n',
  python:
    "import sys\n\ndef main(argv):\n    for word in argv[1:]:\n        print(word.upper())\n\nif __name__ == '__main__':\n    main(sys.argv)\n",
  html: '<!doctype html>\n<html lang="en">\n  <head><title>Hi</title></head>\n  <body><p class="x">Hello</p></body>\n</html>\n',
  sql: "-- what is left\nSELECT name, amount FROM ingredients WHERE amount > 0 ORDER BY name;\n",
  "one byte over and over": "a".repeat(64),
};

/** What the authors' own package says, with TensorFlow.js. */
export async function makeFixtures(): Promise<Fixtures> {
  const { task } = await readModelSource(import.meta.dirname);
  const labels = task.type === "byte-classification" ? task.labels : [];
  const authors = new languageDetection.ModelOperations();
  const cases: Fixtures["cases"] = [];
  for (const [name, text] of Object.entries(TEXTS)) {
    const confidences = new Map(
      (await authors.runModel(text)).map(({ languageId, confidence }) => [languageId, confidence]),
    );
    const bytes = new TextEncoder().encode(text);
    cases.push({
      name,
      inputs: { bytes: { datatype: "INT32", shape: [1, bytes.length], data: [...bytes] } },
      expected: {
        probabilities: {
          datatype: "FP32",
          shape: [1, labels.length],
          data: labels.map((label) =>
            Number((confidences.get(label) ?? Number.NaN).toPrecision(7)),
          ),
        },
      },
      tolerance: 1e-4,
    });
  }
  authors.dispose();
  return {
    source:
      "ModelOperations.runModel of @vscode/vscode-languagedetection@1.0.23: the authors' graph in TensorFlow.js.",
    cases,
  };
}
