import { mkdir, readFile, rename, rm } from "node:fs/promises";
import path from "node:path";

import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as v from "valibot";

import {
  feedsOf,
  Fixtures,
  type FixtureTensor,
  importBuilder,
  packageFolder,
  readFixtures,
  readModelSource,
  sourceDigest,
  toFixture,
  toTensor,
  writeFixtures,
} from "../../src/publish/source.ts";
import { arrayOf, type Datatype, DATATYPES, type Tensor } from "../../src/runtime/tensor.ts";
import { issuePaths, withField } from "../catalog/fields.ts";
import { makeModelFolder, type ModelFolder, near } from "./support.ts";

const FIXTURES: Fixtures = {
  source: "Somebody who knows.",
  cases: [
    {
      name: "one",
      inputs: {
        x: { datatype: "FP32", shape: [1, 2], data: [0.5, -1e-7] },
        words: { datatype: "BYTES", shape: [2], data: ["", "日本語 [1, 2]"] },
      },
      expected: { y: { datatype: "INT64", shape: [], data: [3] } },
      tolerance: 0.001,
    },
  ],
};

describe("Fixtures", () => {
  it("take cases with tensors of any datatype", () => {
    expect(v.parse(Fixtures, FIXTURES)).toEqual(FIXTURES);
  });

  it.each([
    ["source", undefined],
    ["cases", []],
    ["cases.0.name", 1],
    ["cases.0.tolerance", -1],
    ["cases.0.tolerance", undefined],
    ["cases.0.note", "unknown"],
    ["cases.0.expected", undefined],
    ["cases.0.inputs.x.datatype", "float32"],
    ["cases.0.inputs.x.shape", [-1, 2]],
    ["cases.0.inputs.x.shape", [3]],
    ["cases.0.inputs.x.data", [0.5]],
    ["cases.0.inputs.x.data", [0.5, null]],
    ["cases.0.inputs.x.data", ["0.5", "1"]],
    ["cases.0.inputs.words.data", [1, 2]],
    ["cases.0.inputs.words.data", ["a", 2]],
  ])("refuse %s = %j", (field, value) => {
    const result = v.safeParse(Fixtures, withField(FIXTURES, field, value));
    expect(result.success).toBe(false);
    expect(issuePaths(result).join()).toContain(field.split(".").slice(0, 3).join("."));
  });
});

/** How far a float may be from what seven of its digits say, as a share of it. */
const SEVEN_DIGITS = 6e-7;

describe("toTensor", () => {
  it.each<[Datatype, FixtureTensor["data"], Tensor["data"]]>([
    ["BOOL", [1, 0], Uint8Array.of(1, 0)],
    ["INT8", [-128, 127], Int8Array.of(-128, 127)],
    ["UINT32", [0, 4_294_967_295], Uint32Array.of(0, 4_294_967_295)],
    ["INT64", [-3, 2 ** 53 - 1], BigInt64Array.of(-3n, 2n ** 53n - 1n)],
    ["UINT64", [3, 0], BigUint64Array.of(3n, 0n)],
    ["FP16", [0x3c00, 0], Uint16Array.of(0x3c00, 0)],
    ["FP32", [0.1, -0], Float32Array.of(0.1, -0)],
    ["FP64", [0.1, 1e300], Float64Array.of(0.1, 1e300)],
    ["BYTES", ["", "é"], ["", "é"]],
  ])("makes %s of %j", (datatype, data, expected) => {
    expect(toTensor({ datatype, shape: [2], data })).toEqual({
      datatype,
      shape: [2],
      data: expected,
    });
  });

  it("is what toFixture undoes, for every datatype", () => {
    const tensor: fc.Arbitrary<Tensor> = fc
      .constantFrom(...(Object.keys(DATATYPES) as Datatype[]))
      .chain((datatype): fc.Arbitrary<Tensor> => {
        if (datatype === "BYTES") {
          return fc
            .array(fc.string({ unit: "grapheme" }))
            .map((data) => ({ datatype, shape: [data.length, 1], data }));
        }
        const element = elementOf(datatype);
        return fc.array(element, { maxLength: 20 }).map((numbers) => {
          const fixture = { datatype, shape: [numbers.length], data: numbers };
          return toTensor(fixture);
        });
      });
    fc.assert(
      fc.property(tensor, (one) => {
        const fixture = JSON.parse(JSON.stringify(toFixture(one))) as FixtureTensor;
        const back = toTensor(fixture);
        expect(v.is(Fixtures, { source: "", cases: [caseOf(fixture)] })).toBe(true);
        const isFloat = one.datatype === "FP32" || one.datatype === "FP64";
        expect([back.datatype, back.shape]).toEqual([one.datatype, one.shape]);
        expect([...back.data]).toEqual(
          Array.from<unknown>(one.data).map((value) =>
            isFloat ? near(Number(value), Math.abs(Number(value)) * SEVEN_DIGITS) : value,
          ),
        );
      }),
      { numRuns: 300 },
    );
  });
});

function caseOf(x: FixtureTensor): Fixtures["cases"][number] {
  return { name: "x", inputs: { x }, expected: {}, tolerance: 0 };
}

function elementOf(datatype: Exclude<Datatype, "BYTES">): fc.Arbitrary<number> {
  switch (datatype) {
    case "FP32":
      return fc.float({ noNaN: true, noDefaultInfinity: true, min: -(2 ** 100), max: 2 ** 100 });
    case "FP64":
      return fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e300, max: 1e300 });
    case "INT64":
      return fc.maxSafeInteger();
    case "UINT64":
      return fc.maxSafeNat();
    case "BOOL":
      return fc.nat(1);
    default: {
      const bits = 8 * arrayOf(datatype).BYTES_PER_ELEMENT;
      const signed = datatype.startsWith("INT");
      return signed
        ? fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 })
        : fc.integer({ min: 0, max: 2 ** bits - 1 });
    }
  }
}

describe("a model's folder", () => {
  let model: ModelFolder;
  beforeAll(async () => {
    model = await makeModelFolder("return { onnx: new Uint8Array(), assets: {} };");
  });
  afterAll(() => model?.remove());

  it("gives back the fixtures that were written, an array to a line", async () => {
    await writeFixtures(model.folder, FIXTURES);
    expect(await readFixtures(model.folder)).toEqual(FIXTURES);
    const text = await readFile(path.join(model.folder, "fixtures.json"), "utf8");
    expect(text).toContain('"data": [0.5,-1e-7]\n');
    expect(text.endsWith("}\n")).toBe(true);
  });

  it("doesn't let fixtures be written that can't be read", async () => {
    const broken = { ...FIXTURES, cases: [] };
    await expect(writeFixtures(model.folder, broken)).rejects.toThrow(/Invalid length/);
    expect(await readFixtures(model.folder)).toEqual(FIXTURES);
  });

  it("gives feeds that a session takes", () => {
    expect(feedsOf(caseOf({ datatype: "INT64", shape: [], data: [3] }))).toEqual({
      x: { datatype: "INT64", shape: [], data: BigInt64Array.of(3n) },
    });
  });

  it("says what it holds", async () => {
    expect(await readModelSource(model.folder)).toMatchObject({ name: model.name, version: 1 });
    const { packages } = await importBuilder(model.folder);
    expect(packages).toEqual(["valibot"]);
  });

  it.each([
    ["isn't there", undefined, /fixtures\.json can't be read as JSON/],
    ["is no JSON", "{", /fixtures\.json can't be read as JSON/],
    ["is something else", "{}", /source/],
  ])("names a file that %s", async (_, text, message) => {
    const other = await makeModelFolder("return {};");
    try {
      if (text === undefined) await rm(path.join(other.folder, "fixtures.json"));
      else await other.write("fixtures.json", text);
      await expect(readFixtures(other.folder)).rejects.toThrow(message);
    } finally {
      await other.remove();
    }
  });

  it.each([
    ["packages", "export function build() {}"],
    ["build()", "export const packages = [];"],
  ])("names a build.ts that exports no %s", async (_, text) => {
    const other = await makeModelFolder("");
    try {
      await other.write("build.ts", text);
      await expect(importBuilder(other.folder)).rejects.toThrow(
        new RegExp(`${other.name}/build.ts must export build\\(\\) and packages`),
      );
    } finally {
      await other.remove();
    }
  });
});

describe("sourceDigest", () => {
  let model: ModelFolder;
  let before: string;
  beforeAll(async () => {
    model = await makeModelFolder("return {};");
    await mkdir(path.join(model.folder, "samples"));
    before = await sourceDigest(model.folder);
  });
  afterAll(() => model?.remove());

  it("is the same as long as nothing changes", async () => {
    expect(before).toMatch(/^[0-9a-f]{64}$/);
    expect(await sourceDigest(model.folder)).toBe(before);
  });

  it("is the same for the same folder in another place", async () => {
    const twin = await makeModelFolder("return {};", { name: model.name.replace("tiny", "twin") });
    try {
      for (const file of ["model.json", "fixtures.json", "build.ts"]) {
        await twin.write(file, await readFile(path.join(model.folder, file), "utf8"));
      }
      expect(await sourceDigest(twin.folder)).toBe(before);
    } finally {
      await twin.remove();
    }
  });

  it.each([
    "example.json",
    "LICENSE",
    "README.md",
    "make-fixtures.ts",
    "make-fixtures.py",
    "samples/speech.json",
  ])("doesn't change with %s, which is beside the build", async (file) => {
    await model.write(file, "something");
    expect(await sourceDigest(model.folder)).toBe(before);
    await rm(path.join(model.folder, file));
  });

  it.each(["build.ts", "model.json", "fixtures.json"])("changes with %s", async (file) => {
    const text = await readFile(path.join(model.folder, file), "utf8");
    await model.write(file, `${text} `);
    expect(await sourceDigest(model.folder)).not.toBe(before);
    await model.write(file, text);
    expect(await sourceDigest(model.folder)).toBe(before);
  });

  it("changes with every other file's coming, name and content", async () => {
    const digests = [before];
    const note = async () => digests.push(await sourceDigest(model.folder));
    await model.write("graph.ts", "a");
    await note();
    await model.write("graph.ts", "b");
    await note();
    await rename(path.join(model.folder, "graph.ts"), path.join(model.folder, "other.ts"));
    await note();
    await model.write("graph.ts", "");
    await note();
    expect(new Set(digests).size).toBe(5);
    await rm(path.join(model.folder, "graph.ts"));
    await rm(path.join(model.folder, "other.ts"));
  });

  it("can't be had when a package that the build reads isn't installed", async () => {
    const other = await makeModelFolder("return {};");
    try {
      await other.write(
        "build.ts",
        'export const packages = ["no-such-package"]; export function build() {}',
      );
      await expect(sourceDigest(other.folder)).rejects.toThrow(
        /node_modules\/no-such-package\/package\.json can't be read/,
      );
    } finally {
      await other.remove();
    }
  });
});

describe("packageFolder", () => {
  it("finds packages whose exports hide their files", async () => {
    const file = path.join(packageFolder("@ricky0123/vad-web"), "package.json");
    expect(JSON.parse(await readFile(file, "utf8"))).toMatchObject({ name: "@ricky0123/vad-web" });
  });
});
