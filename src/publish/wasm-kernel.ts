/** Types of values. */
export const [I32, F32, V128] = [0x7f, 0x7d, 0x7b];

const [END, VERSION] = [0x0b, [1, 0, 0, 0]];

/** One function over a memory that it imports. */
export interface Kernel {
  /** What it is exported as. */
  readonly name: string;
  readonly parameters: readonly number[];
  readonly results: readonly number[];
  /** How many locals of which type follow the parameters. */
  readonly locals: readonly (readonly [count: number, type: number])[];
  /** Below 16 KiB. */
  readonly code: readonly number[];
}

/**
 * The bytes of a WebAssembly module with that function alone; its memory is `env.memory`.
 * Format: https://webassembly.github.io/spec/core/binary/modules.html
 */
export function kernelModule(kernel: Kernel): Uint8Array<ArrayBuffer> {
  const { name, parameters, results, locals } = kernel;
  const type = [
    0x60,
    ...list(parameters.map((one) => [one])),
    ...list(results.map((one) => [one])),
  ];
  const code = [...list(locals), ...kernel.code, END];
  return Uint8Array.from([
    ...text("\0asm").slice(1),
    ...VERSION,
    ...section(1, list([type])),
    ...section(2, list([[...text("env"), ...text("memory"), 2, 0, 1]])),
    ...section(3, list([[0]])),
    ...section(7, list([[...text(name), 0, 0]])),
    ...section(10, list([[...length(code), ...code]])),
  ]);
}

// Instructions: https://webassembly.github.io/spec/core/binary/instructions.html

export const [I32_ADD, I32_SUB, I32_MUL, I32_SHIFT_LEFT] = [0x6a, 0x6b, 0x6c, 0x74];

export const get = (local: number): number[] => [0x20, local];

export const set = (local: number, value: readonly number[]): number[] => [...value, 0x21, local];

export const add = (local: number, value: readonly number[]): number[] =>
  set(local, [...get(local), ...value, I32_ADD]);

/** Signed LEB128 of what is at least 0 and below 8192. */
export function constant(value: number): number[] {
  return value < 64 ? [0x41, value] : [0x41, (value & 127) | 128, value >> 7];
}

/** do { body } while ((local -= by) != 0) */
export function countDown(local: number, by: number, body: readonly number[]): number[] {
  const [loop, empty, branchIf, tee] = [0x03, 0x40, 0x0d, 0x22];
  const left = [...get(local), ...constant(by), I32_SUB, tee, local];
  return [loop, empty, ...body, ...left, branchIf, 0, END];
}

/** if (what is on the stack) { body } */
export function when(body: readonly number[]): number[] {
  return [0x04, 0x40, ...body, END];
}

function section(id: number, content: readonly number[]): number[] {
  return [id, ...length(content), ...content];
}

/** A vector of the format: its length, then its elements. */
function list(elements: readonly (readonly number[])[]): number[] {
  return [...length(elements), ...elements.flat()];
}

function text(name: string): number[] {
  return list(Array.from(new TextEncoder().encode(name), (byte) => [byte]));
}

/** Unsigned LEB128 of two bytes at most. */
function length(of: readonly unknown[]): number[] {
  return of.length < 128 ? [of.length] : [(of.length & 127) | 128, of.length >> 7];
}
