import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";
import { text } from "node:stream/consumers";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { bundleWorkers, type LocalStack, startLocalStack } from "../../../src/cli/local-stack.ts";
import { withVersion } from "../../../src/catalog/catalog.ts";
import { changeCatalog } from "../../../src/catalog/changes.ts";
import type { Surroundings } from "../../../src/cli/nearside/main.ts";
import { prepareRuntime } from "../../../src/publish/runtime.ts";
import { putManifest, sayTo, type TemporaryFolder, temporaryFolder } from "../support.ts";

let temporary: TemporaryFolder;
let stack: LocalStack;
beforeAll(async () => {
  temporary = await temporaryFolder();
  await prepareRuntime();
  await bundleWorkers();
  stack = await startLocalStack({ edgePort: 0 });
  await publish();
});
afterAll(async () => {
  await stack?.stop();
  await temporary?.remove();
});

/** Each test has its own. */
const MODELS = [
  ..."labelled dry refusing switched split tried wrong contested".split(" "),
  ..."kept rolled aborted drawn audited routed".split(" "),
];

/** Publishes versions that have no blobs: whoever asks for an answer gets an error, and is counted. */
async function publish(): Promise<void> {
  const inputs = [{ name: "x", datatype: "FP32" as const, shape: [-1, 1] }];
  const manifests = await Promise.all(
    MODELS.flatMap((name) =>
      [1, 2, 3].map((version) => putManifest(stack.target.bucket, { name, version, inputs })),
    ),
  );
  const provenance = { by: "the test", change: "models of the test", now: Date.now() };
  await changeCatalog(stack.target, provenance, (source) =>
    manifests.reduce((catalog, manifest) => withVersion(catalog, manifest), source),
  );
}

const envOf = (actor: string) => ({
  NEARSIDE_CONTROL_URL: stack.controlUrl,
  NEARSIDE_ADMIN_TOKEN: stack.adminToken,
  NEARSIDE_ACTOR: actor,
});

/** What `nearside <line>` says to ada, the operator. */
const ada = (line: string, more?: Partial<Surroundings>) =>
  sayTo(envOf("ada"), line.split(" "), more);

async function done(line: string, more?: Partial<Surroundings>): Promise<string> {
  const { out, err, exitCode } = await ada(line, more);
  expect([line, exitCode, err]).toEqual([line, 0, ""]);
  return out;
}

async function refused(line: string): Promise<string> {
  const { out, err, exitCode } = await ada(line);
  expect([line, exitCode, out]).toEqual([line, 1, ""]);
  return err;
}

async function json(line: string): Promise<unknown> {
  return JSON.parse(await done(`${line} --json`));
}

describe("nearside label", () => {
  it("makes, moves, lists and deletes a label", async () => {
    expect(await done("label labelled canary 2")).toMatch(
      /^Changed; this is catalog \d+:\n {2}models\.labelled\.labels\.canary {2}nothing -> 2\n$/,
    );
    expect(await done("label labelled canary 3")).toContain("labels.canary  2 -> 3\n");
    expect(await done("label labelled canary")).toBe("labelled canary: version 3\n");
    expect(await done("label labelled")).toBe("label   version\nstable  1\ncanary  3\n");
    expect(await json("label labelled")).toEqual({
      name: "labelled",
      labels: { stable: 1, canary: 3 },
    });
    expect(await done("label labelled canary --delete")).toContain("labels.canary  3 -> nothing");
    expect(await refused("label labelled canary")).toContain(
      "`npx nearside label labelled` lists them.",
    );
  });

  it("changes nothing with --dry-run, and says so where there is nothing to do", async () => {
    const before = await json("catalog history --limit 1");
    expect(await done("label dry stable 2 --dry-run")).toBe(
      "This would change (--dry-run; nothing is done):\n  models.dry.labels.stable  1 -> 2\n",
    );
    expect(await json("label dry canary 2 --dry-run")).toMatchObject({ dryRun: true });
    expect(await done("label dry stable 1")).toBe("Nothing to do: it is so already.\n");
    expect(await json("catalog history --limit 1")).toEqual(before);
  });

  it("refuses what does not exist, with what does", async () => {
    expect(await refused("label refusing stable 9")).toMatch(
      /names version 9, which is not published; there are 1, 2, 3/,
    );
    expect(await refused("label unheard-of")).toContain("`npx nearside models` lists them.");
    expect(await refused("label refusing stable --delete")).toContain("stable");
  });
});

describe("nearside pool and nearside origin", () => {
  const pool = (url: string) => JSON.stringify({ protocol: "openai", endpoints: [{ url }] });
  const typed = (words: string) => ({ input: () => Promise.resolve(words) });

  it("make, list, route to and remove a pool", async () => {
    const GPU = typed(pool("https://gpu-1.example.com/v1"));
    expect(await done("pool set gpu - --dry-run", GPU)).toContain("nothing is done");
    expect(await done("pool set gpu -", GPU)).toMatch(
      /^Changed; .*\n {2}pools\.gpu {2}nothing -> /,
    );
    expect(await done("pool set gpu -", GPU)).toBe("Nothing to do: it is so already.\n");
    expect(await refused("origin routed")).toContain("`npx nearside origin routed --pool <pool>`");
    await done("origin routed --pool gpu --name routed-large");
    expect(await done("origin routed")).toBe("routed goes to the pool gpu, as routed-large\n");
    expect(await done("pool list")).toMatch(
      /^gpu {3}openai {4}https:\/\/gpu-1\.example\.com\/v1 {2}routed$/m,
    );
    expect(await refused("pool delete gpu")).toContain('there is no pool "gpu"');
    expect(await done("origin routed --delete")).toContain("models.routed.origin");
    expect(await done("pool delete gpu")).toContain("pools.gpu");
    expect(await refused("pool delete gpu")).toContain("`npx nearside pool list` lists them.");
  });

  it("say what is wrong with a pool or with words", async () => {
    const local = typed(pool("http://127.0.0.1:8000"));
    const { err } = await ada("pool set gpu -", local);
    expect(err).toContain("allowPrivate");
    expect((await ada("pool set gpu -", typed("[]"))).err).toContain("is no pool, which is a JSON");
    expect(await refused("origin routed --pool gone")).toContain('there is no pool "gone"');
    expect((await ada("origin routed --pool a --delete")).exitCode).toBe(2);
    expect((await ada("origin routed --dry-run")).exitCode).toBe(2);
  });
});

describe("nearside switch", () => {
  it("switches versions and the whole model off and on, and keeps the rest as it is", async () => {
    expect(await done("switch switched")).toBe("switched is on\n");
    await done("switch switched --off --version 3");
    await done("switch switched --off --version 2");
    await done("switch switched --off");
    expect(await done("switch switched")).toBe("switched is off; off: versions 2, 3\n");
    expect(await done("switch switched --on")).toMatch(/Still off: versions 2, 3\. .* --version/);
    await done("switch switched --on --version 2");
    expect(await json("switch switched")).toEqual({ off: false, offVersions: [3] });
  });
});

describe("nearside flag", () => {
  it("splits traffic, shows what that does, and gives the flag back for the next change", async () => {
    expect(await refused("flag get split")).toContain("`npx nearside flag set --help`");
    const said = await done("flag set split --split 2=10");
    expect(said).toMatch(/Traffic before:\n {2}\(stable\) +version 1 +100\.0 % +█{20}\n/);
    expect(said).toMatch(/Traffic after:\n {2}current +version 1 +\d\d\.\d % +█{17,19}\n/);
    const flag = await done("flag get split");
    expect(JSON.parse(flag)).toMatchObject({ variants: { current: "stable", next: 2 } });
    const more = flag.replace("90", "70").replace("10", "30");
    await done("flag set split -", { input: () => Promise.resolve(more) });
    expect(await json("flag test split --keys 2000")).toMatchObject({
      shares: { next: { version: 2, percent: expect.closeTo(30, -1) } },
    });
    expect(await done("flag set split --delete")).toContain("flags.split");
    expect(await done("flag test split")).toMatch(/^Of 1000 callers:\n {2}\(stable\)/);
  });

  it("tests a flag that is not set, for one caller", async () => {
    const file = path.join(temporary.folder, "flag.json");
    const flag = {
      state: "ENABLED",
      variants: { old: 1, new: 3 },
      defaultVariant: "old",
      targeting: { if: [{ "==": [{ var: "country" }, "DE"] }, "new", "old"] },
    };
    await writeFile(file, JSON.stringify({ flags: { tried: flag } }));
    const test = `flag test tried --file ${file} --user eve`;
    expect(await done(`${test} --attribute country=DE`)).toMatch(
      /^eve gets version 3, variant "new" \(TARGETING_MATCH\)\.\nOf 1000 callers:\n {2}new +version 3 +100\.0 %/,
    );
    expect(await done(`${test} --attribute country=FR`)).toContain('version 1, variant "old"');
    expect(await refused("flag get tried")).toContain("has no flag");
  });

  it("lists everything that is wrong with a flag", async () => {
    const file = path.join(temporary.folder, "wrong.json");
    const flag = {
      state: "ENABLED",
      variants: { a: 8, b: 9 },
      targeting: { fractional: [["a", 10]] },
    };
    await writeFile(file, JSON.stringify(flag));
    const said = await refused(`flag set wrong ${file}`);
    expect(said).toContain("  flags.wrong.variants.a: names version 8");
    expect(said).toContain("  flags.wrong.variants.b: names version 9");
    expect(said).toContain("  flags.wrong.targeting.fractional: the shares add up to 10, not 100");
    const { out } = await ada(`flag set wrong ${file} --json`);
    expect(JSON.parse(out)).toMatchObject({
      error: { code: "invalid_change", problems: [{ field: "flags.wrong.variants.a" }, {}, {}] },
    });
  });
});

describe("two operators at once", () => {
  it("the second is told who was faster, and may go on by doing it again", async () => {
    const grace = envOf("grace");
    const early = Object.assign(envOf("ada"), {
      // Ada's stack of commands is slow: grace is done between her look and her change.
      NEARSIDE_CONTROL_URL: await inBetween(() =>
        sayTo(grace, ["label", "contested", "stable", "2"]),
      ),
    });
    const { err, exitCode } = await sayTo(early, ["label", "contested", "stable", "3"]);
    expect(exitCode).toBe(1);
    expect(err).toMatch(
      /^grace \(admin token\) was faster \(.+\): stable of contested names version 2\.\n/,
    );
    expect(err).toContain("Run it again: it takes the new state.");
    expect(await done("label contested stable 3")).toContain("2 -> 3");
  });
});

/** A way to the control plane on which something happens before the first change arrives. */
async function inBetween(happens: () => Promise<unknown>): Promise<string> {
  let isFirst = true;
  const server = createServer(async (request, response) => {
    if (request.method !== "GET" && isFirst) {
      isFirst = false;
      await happens();
    }
    const body = await text(request);
    const { connection: _, host: __, "content-length": ___, ...headers } = request.headers;
    const answer = await fetch(stack.controlUrl + request.url, {
      method: request.method ?? "GET",
      headers: headers as Record<string, string>,
      ...(body.length > 0 && { body }),
    });
    response.writeHead(answer.status, { etag: answer.headers.get("etag") ?? "" });
    response.end(await answer.text());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
  const address = server.address();
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
}

describe("nearside catalog", () => {
  it("lists, compares and goes back", async () => {
    const [{ number }] = (await json("catalog history --limit 1")) as [{ number: number }];
    await done("label kept stable 3");
    expect(await done("catalog history --limit 2")).toMatch(
      /^number {2}when +by +change\n\d+ +\S+ \S+ +ada \(admin token\) +stable of kept names version 3\n/,
    );
    expect(await done(`catalog diff ${number}`)).toBe(
      `From catalog ${number} to the current one:\n  models.kept.labels.stable  1 -> 3\n`,
    );
    expect(await done(`catalog diff ${number} ${number}`)).toContain("say the same");
    expect(await done(`catalog rollback ${number} --dry-run`)).toContain("3 -> 1");
    expect(await done(`catalog rollback ${number}`)).toContain("labels.stable  3 -> 1");
    expect(await done("label kept stable")).toBe("kept stable: version 1\n");
    expect(await done(`catalog rollback ${number}`)).toBe("Nothing to do: it is so already.\n");
    expect(await refused("catalog diff 99999")).toContain("There is no catalog 99999");
  });
});

describe("nearside rollout", () => {
  it("is started, watched, paused, resumed and promoted, and counts what the edge answers", async () => {
    expect(await refused("rollout status rolled")).toContain("rollout start");
    const start = "rollout start rolled 2 --steps 50,100 --min-seconds 3600";
    expect(await done(`${start} --dry-run`)).toMatch(/^This would start \(--dry-run/);
    expect(await refused("rollout status rolled")).toContain("rollout start");
    const started = await done(start);
    expect(started).toMatch(/^rolled 2: running\n {2}versions +2 instead of 1\n/);
    expect(started).toMatch(/step +1 of 2 \(50 % of callers; 50, 100\)/);
    expect(await refused(start)).toContain("nearside rollout abort rolled");
    expect(await refused("flag set rolled --delete")).toContain("rollout");

    for (let at = 0; at < 8; at++) await inferFor(`user-${at}`);
    let requests = 0;
    while (requests < 8) {
      const view = (await json("rollout status rolled")) as Rollout;
      requests = view.stats.step.baseline.requests + view.stats.step.candidate.requests;
    }
    expect(await done("rollout pause rolled --reason lunch")).toContain("rolled 2: paused");
    expect(await done("rollout resume rolled")).toContain("rolled 2: running");

    const seen: string[] = [];
    const watched = await ada("rollout status rolled --watch", {
      err: (line) => void seen.push(line),
      wait: async () => void (await done("rollout promote rolled")),
    });
    expect(watched).toMatchObject({ exitCode: 0 });
    expect(watched.out).toContain("rolled 2: promoted");
    expect(seen.join("")).toMatch(/^rolled 2: running, step 1 of 2 .*\n$/);
    expect(await done("label rolled stable")).toBe("rolled stable: version 2\n");
    expect(await refused("rollout abort rolled")).toContain("over");
  });

  it("that is aborted makes a watch end with 1", async () => {
    await done("rollout start aborted 3");
    const { exitCode, out, err } = await ada("rollout status aborted --watch", {
      wait: async () => void (await done("rollout abort aborted --reason worse")),
    });
    expect(exitCode).toBe(1);
    expect(out).toMatch(/^aborted 3: aborted\n[^]*reason +worse\n/);
    expect(err).toContain("aborted 3: running");
  });

  it("draws over what a terminal showed last", async () => {
    await done("rollout start drawn 2");
    let left = 2;
    const { err } = await ada("rollout status drawn --watch", {
      isTerminal: true,
      wait: async () => {
        if (--left === 0) await done("rollout abort drawn");
      },
    });
    const lines = err.split("\u001b[")[0]?.split("\n").length ?? 0;
    expect(err.split(`\u001b[${lines - 1}A\r\u001b[J`)).toHaveLength(3);
  });
});

describe("nearside audit", () => {
  it("tells who did what to a model", async () => {
    await done("label audited stable 2");
    await sayTo(envOf("grace"), ["switch", "audited", "--off"]);
    const lines = (await done("audit --model audited")).split("\n");
    expect(lines[0]).toMatch(/^when +who +what +where +made$/);
    expect(lines[1]).toMatch(
      /grace \(admin token\) +switches\.put +models\/audited\/switches +cat/,
    );
    expect(lines[2]).toMatch(/ada \(admin token\) +label\.put +models\/audited\/labels\/stable /);
    expect(await json("audit --model audited --limit 1")).toMatchObject([
      { action: "switches.put" },
    ]);
    expect(await done("audit --model nobody")).toBe("Nothing was changed yet.\n");
  });
});

interface Rollout {
  readonly stats: { step: Record<"baseline" | "candidate", { requests: number }> };
}

async function inferFor(user: string): Promise<void> {
  const response = await fetch(`${stack.edgeUrl}/v2/models/rolled/infer`, {
    method: "POST",
    headers: { "content-type": "application/json", "nearside-user": user },
    body: JSON.stringify({ inputs: [{ name: "x", datatype: "FP32", shape: [1, 1], data: [1] }] }),
  });
  await response.text();
}
