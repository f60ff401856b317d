/**
 * Clears the "shared" bit of the memory that a WASM module imports.
 *
 * onnxruntime-web ships only a threaded build, whose memory import is `shared`. One thread needs no
 * shared memory, workerd does not promise it, and views of plain memory can be handed to TextDecoder,
 * crypto and Response without a copy. Outputs and speed are the same (measured, DESIGN §3.3).
 *
 * Import section layout: https://webassembly.github.io/spec/core/binary/modules.html#import-section,
 * limits flags: https://github.com/WebAssembly/threads/blob/main/proposals/threads/Overview.md
 *
 * @param wasm the module's bytes; not changed
 * @returns a copy in which every imported memory is unshared
 * @throws RangeError when the bytes are not a module with an imported memory
 */
export function unshareMemory(wasm: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(wasm);
  let at = 0;
  const byte = (): number => {
    const value = bytes[at++];
    if (value === undefined) throw new RangeError("The WASM module ends inside a section.");
    return value;
  };
  const uleb = (): number => {
    let value = 0;
    let shift = 0;
    for (;;) {
      const part = byte();
      value |= (part & 0x7f) << shift;
      if (part < 0x80) return value >>> 0;
      shift += 7;
    }
  };
  const name = (): void => {
    const length = uleb();
    at += length;
  };

  if (bytes[0] !== 0x00 || bytes[1] !== 0x61 || bytes[2] !== 0x73 || bytes[3] !== 0x6d) {
    throw new RangeError("These bytes are not a WASM module.");
  }
  let found = 0;
  at = 8;
  while (at < bytes.length) {
    const section = byte();
    const end = uleb() + at;
    if (section === SECTION_IMPORT) {
      for (let imports = uleb(); imports > 0; imports--) {
        name();
        name();
        const kind = byte();
        if (kind === IMPORT_FUNCTION) {
          uleb();
        } else if (kind === IMPORT_MEMORY) {
          const flags = byte();
          bytes[at - 1] = flags & ~LIMITS_SHARED;
          found++;
          uleb();
          if (flags & LIMITS_HAS_MAXIMUM) uleb();
        } else {
          throw new RangeError(`The WASM module imports something of kind ${kind}.`);
        }
      }
    }
    at = end;
  }
  if (found === 0) throw new RangeError("The WASM module imports no memory.");
  return bytes;
}

const SECTION_IMPORT = 2;
const IMPORT_FUNCTION = 0;
const IMPORT_MEMORY = 2;
const LIMITS_HAS_MAXIMUM = 1;
const LIMITS_SHARED = 2;
