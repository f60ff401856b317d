import type { RgbaImage } from "../image/index.ts";

const OPAQUE = 255;

/** Lays a picture on white paper: what is transparent has any colour at all. */
export function onWhite({ width, height, data }: RgbaImage): RgbaImage {
  let isOpaque = true;
  for (let at = 3; at < data.length && isOpaque; at += 4) isOpaque = data[at] === OPAQUE;
  if (isOpaque) return { width, height, data };
  const laid = new Uint8Array(data.length).fill(OPAQUE);
  for (let at = 0; at < data.length; at += 4) {
    const alpha = data[at + 3] ?? OPAQUE;
    for (let channel = at; channel < at + 3; channel++) {
      laid[channel] = OPAQUE + (((data[channel] ?? 0) - OPAQUE) * alpha) / OPAQUE;
    }
  }
  return { width, height, data: laid };
}

/** A picture made smaller by `scale`, below 1: each pixel is the mean of those that it stands for. */
export function shrunk(image: RgbaImage, scale: number): RgbaImage {
  if (scale >= 1) return image;
  const width = Math.max(1, Math.round(image.width * scale));
  const height = Math.max(1, Math.round(image.height * scale));
  const rows = resampled(image.data, image.height, image.width * 4, height, 1);
  return { width, height, data: resampled(rows, image.width, 4, width, height) };
}

/** Means along one axis: `lines` times, `from` steps of `step` values become `to`. */
function resampled(
  data: Uint8Array,
  from: number,
  step: number,
  to: number,
  lines: number,
): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(lines * to * step);
  const ratio = from / to;
  const sums = new Float32Array(step);
  for (let line = 0; line < lines; line++) {
    const base = line * from * step;
    for (let target = 0; target < to; target++) {
      const [begin, end] = [target * ratio, Math.min(from, (target + 1) * ratio)];
      sums.fill(0);
      for (let source = Math.floor(begin); source < end; source++) {
        const share = Math.min(source + 1, end) - Math.max(source, begin);
        const at = base + source * step;
        for (let value = 0; value < step; value++) sums[value]! += share * (data[at + value] ?? 0);
      }
      const at = (line * to + target) * step;
      for (let value = 0; value < step; value++)
        result[at + value] = (sums[value] ?? 0) / ratio + 0.5;
    }
  }
  return result;
}
