import { type WireCase, wire } from "../../../../test/bench/wire.ts";
import { type Check, hold } from "../check.ts";

const SAMPLES = 5;
/** A 224×224×3 image as bytes costs this part of what it costs as JSON, at most. */
const MOST = 1 / 5;

/** The benchmark `wire`: JSON and bytes in turn, from socket to socket. */
export const wireCosts: Check<undefined> = {
  claim: "a 224×224×3 image as bytes costs a fifth of what it costs as JSON, or less",
  async run() {
    const cases: readonly WireCase[] = (await wire(SAMPLES, () => {})).cases;
    const image = cases.find(({ tensor, way }) => tensor.startsWith("224") && way === "in");
    hold(image !== undefined, "the image was not measured");
    const { jsonMs, binaryMs } = image;
    hold(
      binaryMs.median <= jsonMs.median * MOST,
      `${binaryMs.median} ms as bytes, ${jsonMs.median} ms as JSON`,
    );
    return { imageAsJsonMs: jsonMs.median, imageAsBytesMs: binaryMs.median };
  },
};
