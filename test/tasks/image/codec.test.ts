import jpegGlue from "@jsquash/jpeg/codec/dec/mozjpeg_dec.js";
import { describe, expect, it } from "vitest";

import { type Glue, startEmscriptenCodec } from "../../../src/tasks/image/emscripten-codec.ts";
import { startPngCodec } from "../../../src/tasks/image/png-codec.ts";
import { drawn, gradient, jpegOf, pngOf } from "../../support/pictures.ts";
import { TOOLS } from "../../support/tools.ts";

const startJpeg = () => startEmscriptenCodec(jpegGlue as unknown as Glue, TOOLS.codecs.jpeg, false);
const large = drawn(1_600, 1_200, gradient);

describe("decoders", () => {
  it("are there as soon as they are started", async () => {
    const jpeg = await jpegOf(drawn(8, 8, gradient));
    expect(startJpeg().decode(jpeg, Number.POSITIVE_INFINITY)).toMatchObject({ width: 8 });
  });

  it("get no more memory than they are given, where they ask the glue for it", async () => {
    const jpeg = await jpegOf(large, {
      progressive: true,
      auto_subsample: false,
      chroma_subsample: 1,
    });
    const codec = startJpeg();
    const { memoryBytes } = codec;
    expect(() => codec.decode(jpeg, memoryBytes)).toThrow("Aborted");
    expect(codec.memoryBytes).toBe(memoryBytes);
    expect(startJpeg().decode(jpeg, 2 * memoryBytes)).toMatchObject({
      width: 1_600,
      height: 1_200,
    });
  });

  it("give the bytes of a PNG back, so that one can decode many", async () => {
    const png = await pngOf(drawn(64, 64, gradient));
    const codec = startPngCodec(TOOLS.codecs.png);
    codec.decode(png, Number.POSITIVE_INFINITY);
    const { memoryBytes } = codec;
    for (let round = 0; round < 50; round++) codec.decode(png, Number.POSITIVE_INFINITY);
    expect(codec.memoryBytes).toBe(memoryBytes);
  });
});
