import { readFile } from "node:fs/promises";

import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { packageFile } from "../../src/publish/workspace.ts";
import { unshareMemory } from "../../src/runtime/unshare-memory.ts";

const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const FUNCTION_TYPE = [1, 4, 1, 0x60, 0, 0];
const HAS_MAXIMUM = 1;
const SHARED = 2;

type Import =
  | { kind: "function"; name: string }
  | { kind: "memory"; name: string; initial: number; maximum?: number; shared: boolean };

function uleb(value: number): number[] {
  const part = value & 0x7f;
  const rest = value >>> 7;
  return rest === 0 ? [part] : [part | 0x80, ...uleb(rest)];
}

function named(name: string): number[] {
  const bytes = new TextEncoder().encode(name);
  return [...uleb(bytes.length), ...bytes];
}

function importBytes(one: Import): number[] {
  const names = [...named("env"), ...named(one.name)];
  if (one.kind === "function") return [...names, 0, ...uleb(0)];
  const limits = [...uleb(one.initial), ...(one.maximum === undefined ? [] : uleb(one.maximum))];
  const flags = (one.maximum === undefined ? 0 : HAS_MAXIMUM) | (one.shared ? SHARED : 0);
  return [...names, 2, flags, ...limits];
}

function moduleOf(imports: readonly Import[], after: readonly number[] = []): Uint8Array {
  const body = [...uleb(imports.length), ...imports.flatMap(importBytes)];
  return Uint8Array.of(...HEADER, ...FUNCTION_TYPE, 2, ...uleb(body.length), ...body, ...after);
}

const name = fc.string({ maxLength: 200 });
const anImport: fc.Arbitrary<Import> = fc.oneof(
  fc.record({ kind: fc.constant("function" as const), name }),
  fc.record({
    kind: fc.constant("memory" as const),
    name,
    initial: fc.nat(65_536),
    maximum: fc.nat(65_536),
    shared: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant("memory" as const),
    name,
    initial: fc.nat(65_536),
    shared: fc.constant(false),
  }),
);

const MEMORY: Import = {
  kind: "memory",
  name: "memory",
  initial: 256,
  maximum: 65_536,
  shared: true,
};

describe("unshareMemory", () => {
  it("changes one bit of onnxruntime-web's module, and leaves the original alone", async () => {
    const wasm = await readFile(packageFile("onnxruntime-web/ort-wasm-simd-threaded.wasm"));
    const before = Buffer.from(wasm);
    const unshared = unshareMemory(wasm);
    expect(wasm.equals(before)).toBe(true);
    const changed = [];
    for (let at = 0; at < wasm.length; at++) if (wasm[at] !== unshared[at]) changed.push(at);
    expect(changed).toHaveLength(1);
    const [at = 0] = changed;
    expect([wasm[at], unshared[at]]).toEqual([HAS_MAXIMUM | SHARED, HAS_MAXIMUM]);
  });

  it("clears the shared bit of every imported memory and nothing else", () => {
    const imports = fc
      .array(anImport, { maxLength: 12 })
      .filter((all) => all.some(({ kind }) => kind === "memory"));
    fc.assert(
      fc.property(imports, fc.array(fc.constant(0), { maxLength: 3 }), (all, rest) => {
        const custom = rest.length === 0 ? [] : [0, rest.length, ...rest];
        const expected = all.map((one) =>
          one.kind === "memory" ? Object.assign({}, one, { shared: false }) : one,
        );
        expect(unshareMemory(moduleOf(all, custom))).toEqual(moduleOf(expected, custom));
      }),
    );
  });

  it("changes nothing the second time", () => {
    const unshared = unshareMemory(moduleOf([MEMORY]));
    expect(unshareMemory(unshared)).toEqual(unshared);
  });

  it.each([
    ["nothing", new Uint8Array(), /not a WASM module/],
    ["a text", new TextEncoder().encode("(module)"), /not a WASM module/],
    ["a module without imports", Uint8Array.from(HEADER), /imports no memory/],
    [
      "a module that imports functions only",
      moduleOf([{ kind: "function", name: "f" }]),
      /no memory/,
    ],
    [
      "a module that imports a global",
      Uint8Array.of(...HEADER, 2, 8, 1, 1, 0x65, 1, 0x67, 3, 0x7f, 0),
      /kind 3/,
    ],
  ])("refuses %s", (_, bytes, message) => {
    expect(() => unshareMemory(bytes)).toThrow(RangeError);
    expect(() => unshareMemory(bytes)).toThrow(message);
  });

  it("refuses a module that is cut off anywhere", () => {
    const whole = moduleOf([{ kind: "function", name: "f" }, MEMORY]);
    for (let length = 0; length < whole.length; length++) {
      expect(() => unshareMemory(whole.slice(0, length))).toThrow(RangeError);
    }
  });
});
