import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import path from "node:path";
import { promisify } from "node:util";

import { beforeAll, describe, expect, it } from "vitest";

import { withFrozenClock, withNoLanguage } from "../../src/publish/frozen-clock.ts";
import { runtimeIdentity, runtimeModule } from "../../src/publish/runtime.ts";
import { type TakenSnapshot, takeSnapshot } from "../../src/publish/snapshot.ts";
import { feedsOf } from "../../src/publish/source.ts";
import { ROOT } from "../../src/publish/workspace.ts";
import { createSession } from "../../src/runtime/create-session.ts";
import { INITIAL_HEAP_BYTES, startOrt } from "../../src/runtime/ort-module.ts";
import {
  headerLength,
  PAGE_BYTES,
  parseHeader,
  PREFIX_BYTES,
} from "../../src/runtime/snapshot/format.ts";
import { restoreBytes } from "../support/restore.ts";
import {
  fixturesOf,
  shippedCases,
  SMALL_CASES,
  type SnapshotCase,
} from "../support/snapshot-cases.ts";
import { bitsOf } from "../support/tensor-bits.ts";
import { fp32 } from "./support.ts";

const digestOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

const headerIn = (bytes: Uint8Array) =>
  parseHeader(bytes.subarray(0, headerLength(bytes.subarray(0, PREFIX_BYTES))));

function caseOf(name: string): SnapshotCase {
  const found = SMALL_CASES.find((one) => one.name === name);
  if (found === undefined) throw new Error(`There is no case "${name}".`);
  return found;
}

const take = ({ source, fixtures }: SnapshotCase): Promise<TakenSnapshot> =>
  takeSnapshot(source, fixtures);

/** Another language and another time zone: a machine somewhere else. */
const ELSEWHERE = {
  LANG: "ja_JP.UTF-8",
  LC_ALL: "ja_JP.UTF-8",
  TZ: "Asia/Tokyo",
  HOME: "/nowhere",
};

/** Takes every snapshot in a process of its own. @returns SHA-256 by name */
async function takeElsewhere(): Promise<Record<string, string>> {
  const file = (name: string): string => JSON.stringify(path.join(ROOT, name));
  const program = `
    const { createHash } = await import("node:crypto");
    const { takeSnapshot } = await import(${file("src/publish/snapshot.ts")});
    const { SMALL_CASES, shippedCases } = await import(${file("test/support/snapshot-cases.ts")});
    const digests = {};
    for (const { name, source, fixtures } of [...(await shippedCases()), ...SMALL_CASES]) {
      const { bytes } = await takeSnapshot(source, fixtures);
      digests[name] = createHash("sha256").update(bytes).digest("hex");
    }
    console.log(JSON.stringify(digests));
  `;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--experimental-strip-types", "--no-warnings", "--input-type=module", "-e", program],
    { env: { ...process.env, ...ELSEWHERE } },
  );
  return JSON.parse(stdout) as Record<string, string>;
}

describe("takeSnapshot", () => {
  it.each(SMALL_CASES.map(({ name }) => name))("takes the same bytes twice: %s", async (name) => {
    const one = caseOf(name);
    expect(digestOf((await take(one)).bytes)).toBe(digestOf((await take(one)).bytes));
  });

  it("states what it is of, and where", async () => {
    const one = caseOf("weighted");
    const { bytes, memoryBytes } = await take(one);
    const header = headerIn(bytes);
    const { digest, ortVersion } = await runtimeIdentity();
    const weights = one.source.weights?.data;
    expect(header).toMatchObject({
      runtime: digest,
      ortVersion,
      graph: digestOf(one.source.graph),
      weights: digestOf(weights?.subarray(0, weights.byteLength) ?? new Uint8Array()),
      memoryBytes,
    });
    expect(headerIn((await take(caseOf("linear"))).bytes)).not.toHaveProperty("weights");
    const pages = header.runs.reduce((sum, run) => sum + run.pages, 0);
    expect(bytes.length).toBe(headerLength(bytes.subarray(0, PREFIX_BYTES)) + pages * PAGE_BYTES);
  });

  it("keeps nothing of what was freed: large fixtures make the memory longer, not the file", async () => {
    const [small, large] = [await take(caseOf("outer")), await take(caseOf("outer-large"))];
    expect(small.memoryBytes).toBe(INITIAL_HEAP_BYTES);
    expect(large.memoryBytes).toBeGreaterThan(INITIAL_HEAP_BYTES);
    expect(large.bytes.length - small.bytes.length).toBeLessThan(16 * PAGE_BYTES);
  });

  it("keeps nothing of the inputs that warmed the session", async () => {
    const secret = "a text that must not be published";
    const { bytes } = await takeSnapshot(
      caseOf("strings").source,
      fixturesOf({ x: { datatype: "BYTES", shape: [1], data: [secret] } }),
    );
    expect(Buffer.from(bytes).includes(secret.slice(16))).toBe(false);
  });

  it("fails with the session's own error when a fixture does not fit", async () => {
    const wrong = fixturesOf({ x: fp32([1, 3], [1, 2, 3]) });
    await expect(takeSnapshot(caseOf("linear").source, wrong)).rejects.toMatchObject({
      code: "invalid_tensor",
    });
    expect(Object.keys(performance)).not.toContain("now");
  });

  it("fails with ORT's words when there is no such model", async () => {
    const source = { graph: new Uint8Array([1, 2, 3]) };
    await expect(takeSnapshot(source, caseOf("linear").fixtures)).rejects.toMatchObject({
      code: "model_load_failed",
    });
  });
});

describe("models that ship", () => {
  const taken = new Map<SnapshotCase, Uint8Array>();
  beforeAll(async () => {
    for (const one of await shippedCases()) taken.set(one, (await take(one)).bytes);
  });

  it("answer every fixture with the same bits, restored or loaded", async () => {
    const wasm = await runtimeModule();
    const { startup } = await runtimeIdentity();
    expect(taken.size).toBeGreaterThan(3);
    for (const [{ source, fixtures }, bytes] of taken) {
      const loaded = createSession(await startOrt(wasm), source);
      const { session: restored } = await restoreBytes(wasm, startup, bytes, loaded);
      // In the other order, too: what ran before must not matter.
      for (const fixture of [...fixtures.cases, ...fixtures.cases.toReversed()]) {
        expect(bitsOf(restored.run(feedsOf(fixture)))).toBe(bitsOf(loaded.run(feedsOf(fixture))));
      }
    }
  });

  it("and small graphs have the same snapshots in another process of another place", async () => {
    const here = new Map([...taken].map(([{ name }, bytes]) => [name, digestOf(bytes)]));
    for (const one of SMALL_CASES) here.set(one.name, digestOf((await take(one)).bytes));
    expect(await takeElsewhere()).toEqual(Object.fromEntries(here));
  });
});

describe("withFrozenClock", () => {
  it("stops the clocks and starts them again, whatever happens", () => {
    const [date, monotonic] = [Date.now, performance.now];
    expect(withFrozenClock(() => [Date.now(), performance.now(), performance.timeOrigin])).toEqual([
      0, 0, 0,
    ]);
    expect(() =>
      withFrozenClock(() => {
        throw new Error("inside");
      }),
    ).toThrow("inside");
    expect([Date.now, performance.now]).toEqual([date, monotonic]);
    expect(performance.timeOrigin).toBeGreaterThan(0);
    expect(performance.now()).toBeGreaterThan(0);
  });
});

describe("withNoLanguage", () => {
  it("hides the user's language until everybody is done, whatever happens", async () => {
    const { language } = navigator;
    const gate = Promise.withResolvers<void>();
    const one = withNoLanguage(() => gate.promise);
    const failing = withNoLanguage(() => Promise.reject(new Error("inside")));
    await expect(failing).rejects.toThrow("inside");
    expect(navigator.language).toBe("C");
    gate.resolve();
    await one;
    expect(navigator.language).toBe(language);
  });
});
