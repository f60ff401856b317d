import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";

import { GraphBuilder } from "../publish/onnx/graph-builder.ts";
import { publishCandidate, publishFolder } from "../publish/publish.ts";
import { prepareRuntime } from "../publish/runtime.ts";
import { GENERATED, ROOT } from "../publish/workspace.ts";
import { type LocalStack, bundleWorkers, startLocalStack } from "./local-stack.ts";
import { parseOptions } from "./options.ts";
import { UserError } from "./user-error.ts";

const CLIENT = "tritonclient[http]==2.73.0";
const CHECKS = path.join(ROOT, "test/interop/tritonclient_check.py");

const FOLDER = path.join(GENERATED, "interop");
const VENV = path.join(FOLDER, "venv");
const VENV_PYTHON =
  process.platform === "win32"
    ? path.join(VENV, "Scripts/python.exe")
    : path.join(VENV, "bin/python");
/** Written last: an installation that broke off is begun again. */
const MARK = path.join(FOLDER, `${CLIENT}.installed`);

/** What the checks ask. */
const MODELS = ["iris", "minilm"];

/** `npm run interop`: Triton's own client for Python against the local stack. */
export async function interop(words: readonly string[]): Promise<number> {
  parseOptions(words, {}, "npm run interop");
  await installClient();
  console.log("Starting the local stack");
  await prepareRuntime();
  await bundleWorkers();
  const stack = await startLocalStack({ edgePort: 0 });
  try {
    for (const model of MODELS) {
      await publishFolder(path.join(ROOT, "models", model), stack.target, (line) =>
        console.log(`  ${line}`),
      );
    }
    await publishWords(stack);
    return await runPython(VENV_PYTHON, [CHECKS, new URL(stack.edgeUrl).host], "inherit");
  } finally {
    await stack.stop();
  }
}

/** @throws UserError that says what is missing and where it comes from */
async function installClient(): Promise<void> {
  if (existsSync(MARK)) return;
  console.log(`Installing ${CLIENT} into ${path.relative(ROOT, VENV)}`);
  await mkdir(FOLDER, { recursive: true });
  const needsPython =
    "npm run interop needs Python 3.9 or newer as `python3`, with venv and pip: https://www.python.org/downloads, or on Debian `apt install python3-venv`.";
  await install("python3", ["-m", "venv", "--clear", VENV], needsPython);
  await install(
    VENV_PYTHON,
    ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", CLIENT],
    `${CLIENT} could not be installed: pip's own words are above; it needs https://pypi.org, or a mirror of it (PIP_INDEX_URL).`,
  );
  await writeFile(MARK, "");
}

async function install(program: string, words: readonly string[], advice: string): Promise<void> {
  const code = await runPython(program, words, ["ignore", "ignore", "inherit"]).catch(() => 1);
  if (code !== 0) throw new UserError(advice);
}

function runPython(
  program: string,
  words: readonly string[],
  stdio: "inherit" | ["ignore", "ignore", "inherit"],
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { cwd: ROOT, stdio });
    child.on("error", reject);
    child.on("exit", (code) => resolve(code ?? 1));
  });
}

/** No model that ships takes strings: one that gives them back, for the datatype BYTES. */
async function publishWords({ target }: LocalStack): Promise<void> {
  const graph = new GraphBuilder("words");
  graph.input("x", "BYTES", ["batch", "words"]);
  graph.op("Identity", ["x"], {}, "y");
  graph.output("y", "BYTES", ["batch", "words"]);
  const tensor = { datatype: "BYTES" as const, shape: [1, 2], data: ["a", "bc"] };
  await publishCandidate(
    {
      source: {
        name: "words",
        version: 1,
        description: "Strings, given back",
        licence: "MIT",
        source: "test",
        task: { type: "tensor" },
        limits: { maxBatch: 8, maxBodyBytes: 65_536 },
      },
      sourceDigest: "0".repeat(64),
      assets: {},
      onnx: graph.toBytes(),
      fixtures: {
        source: "What goes in comes out.",
        cases: [{ name: "two", inputs: { x: tensor }, expected: { y: tensor }, tolerance: 0 }],
      },
    },
    target,
    (line) => console.log(`  ${line}`),
  );
}
