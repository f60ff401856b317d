import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { ROOT } from "../../../publish/workspace.ts";
import { type Check, hold } from "../check.ts";

const START_SECONDS = 150;

/** What a stranger does: clone, `npm start`, `npm run demo`, `npm test`. */
export const cleanClone: Check<undefined> = {
  claim:
    "in a clean clone npm start answers, npm run demo exits 0, the checks and a part of npm test pass",
  async run() {
    const folder = await mkdtemp(path.join(tmpdir(), "nearside-clone-"));
    try {
      await succeed("git", ["clone", "--quiet", ROOT, folder], tmpdir());
      const started = performance.now();
      const answer = await answerOfStart(folder);
      const startSeconds = Math.round((performance.now() - started) / 1000);
      hold(answer.includes("setosa"), `npm start printed no answer: ${answer}`);
      await succeed("npm", ["run", "demo"], folder);
      await succeed("npm", ["run", "check"], folder);
      // This proof runs the whole of the tests' claims already; here the command itself must work.
      await succeed("npm", ["test", "--", "test/workerd/edge", "test/tasks"], folder);
      return { cleanCloneToAnswerSeconds: startSeconds };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

/** The environment of a person's shell, not of the npm script that runs this. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|NODE|INIT_CWD|VITEST)/.test(name),
  );
  const bin = path.join(ROOT, "node_modules");
  const search = (process.env["PATH"] ?? "")
    .split(path.delimiter)
    .filter((place) => !place.startsWith(bin) && !place.includes("node-gyp-bin"));
  return { ...Object.fromEntries(entries), PATH: search.join(path.delimiter) };
}

function succeed(command: string, words: readonly string[], folder: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, words, {
      cwd: folder,
      env: plainEnvironment(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    let printed = "";
    child.stdout.on("data", (chunk) => (printed += chunk));
    child.stderr.on("data", (chunk) => (printed += chunk));
    child.on("error", reject);
    child.on("exit", (code) => {
      if (code === 0) resolve(printed);
      else
        reject(
          new Error(`${command} ${words.join(" ")} exited with ${code}:\n${printed.slice(-2000)}`),
        );
    });
  });
}

/** Starts the stack, waits for the line with the answer, stops it as Ctrl-C would. */
function answerOfStart(folder: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn("npm", ["start", "--", "--edge-port", "0"], {
      cwd: folder,
      env: plainEnvironment(),
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    let printed = "";
    const stop = (): void => {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGINT");
    };
    const timer = setTimeout(stop, START_SECONDS * 1000);
    const read = (chunk: Buffer): void => {
      printed += chunk.toString();
      if (printed.includes("Ctrl-C stops")) stop();
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.on("error", reject);
    child.on("exit", () => {
      clearTimeout(timer);
      resolve(printed);
    });
  });
}
