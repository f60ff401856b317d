import { NearsideError } from "../../errors.ts";
import { type Datatype, elementCount } from "../../runtime/tensor.ts";

const LENGTH_BYTES = 4;
const encoder = new TextEncoder();

/** Each string follows its length. */
export function bytesOfTexts(strings: readonly string[]): Uint8Array {
  const texts = strings.map((text) => encoder.encode(text));
  const bytes = new Uint8Array(texts.reduce((sum, text) => sum + LENGTH_BYTES + text.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const text of texts) {
    view.setUint32(at, text.length, true);
    bytes.set(text, at + LENGTH_BYTES);
    at += LENGTH_BYTES + text.length;
  }
  return bytes;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The strings of a tensor as texts. @throws NearsideError `invalid_tensor` */
export function textsOf(bytes: Uint8Array, shape: readonly number[], field: string): string[] {
  const texts: string[] = [];
  for (const text of stringsOf(bytes, shape, field)) {
    try {
      texts.push(utf8.decode(text));
    } catch {
      throw new NearsideError(
        "invalid_tensor",
        `String ${texts.length} is not UTF-8, and BYTES are texts here.`,
        { field },
      );
    }
  }
  return texts;
}

/** Checks the strings of a tensor without reading them. @throws NearsideError `invalid_tensor` */
export function checkStrings(bytes: Uint8Array, shape: readonly number[], field: string): void {
  const strings = stringsOf(bytes, shape, field);
  while (strings.next().done !== true);
}

/** The strings of a tensor, which follow their lengths; one by one, because a view takes more than its string. */
function* stringsOf(
  bytes: Uint8Array,
  shape: readonly number[],
  field: string,
): Generator<Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = elementCount(shape);
  let at = 0;
  for (let index = 0; index < count; index++) {
    const start = at + LENGTH_BYTES;
    const end = start > bytes.length ? Infinity : start + view.getUint32(at, true);
    if (end > bytes.length) throw wrongSize("BYTES", shape, bytes.length, field);
    yield bytes.subarray(start, end);
    at = end;
  }
  if (at !== bytes.length) throw wrongSize("BYTES", shape, bytes.length, field);
}

/** Bytes that are no tensor of that shape. */
export function wrongSize(
  datatype: Datatype,
  shape: readonly number[],
  bytes: number,
  field: string,
): NearsideError {
  return new NearsideError(
    "invalid_tensor",
    `The ${bytes} bytes are no ${datatype} tensor of shape [${shape.join(", ")}].`,
    { field },
  );
}
