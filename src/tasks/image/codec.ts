/** A picture, upright, four bytes per pixel: red, green, blue, alpha (not premultiplied). */
export interface RgbaImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** A decoder with memory of its own. */
export interface Codec {
  /**
   * @param maxBytes what its memory may grow to, where it can be held back
   * @returns the picture as it is stored
   * @throws whatever the decoder throws
   */
  decode(bytes: Uint8Array, maxBytes: number): RgbaImage;
  /** Whether it may decode another picture: what has trapped may be in any state. */
  readonly isUsable: boolean;
  /** Its linear memory, which never shrinks. */
  readonly memoryBytes: number;
}
