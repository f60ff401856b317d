const encoder = new TextEncoder();

/** Not every library of types knows that an encoder's bytes are its own. */
export const utf8 = (text: string): Uint8Array<ArrayBuffer> =>
  encoder.encode(text) as Uint8Array<ArrayBuffer>;

/** A JSON body. */
export const jsonBody = (value: unknown): Uint8Array<ArrayBuffer> => utf8(JSON.stringify(value));

export const JSON_TYPE = { "content-type": "application/json" };
