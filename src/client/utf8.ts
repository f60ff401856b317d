import { invalidInput } from "./error.ts";

const encoder = new TextEncoder();

/** Not every library of types knows that an encoder's bytes are its own. */
export const utf8 = (text: string): Uint8Array<ArrayBuffer> =>
  encoder.encode(text) as Uint8Array<ArrayBuffer>;

/** @returns undefined for what JSON leaves out. @throws NearsideError `invalid_input` for bigints and circles */
export function jsonText(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    throw invalidInput("inputs", "must be what JSON can say", cause);
  }
}

/** The body of an object. @throws NearsideError `invalid_input` */
export const jsonBody = (value: object): Uint8Array<ArrayBuffer> => utf8(jsonText(value) ?? "");

export const JSON_TYPE = { "content-type": "application/json" };
