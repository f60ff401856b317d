import type { Rectangle } from "../../../src/tasks/text-recognition/geometry.ts";

/** A rectangle whose text runs at this angle, in degrees. */
export function rectangle(
  centre: readonly [number, number],
  width: number,
  height: number,
  degrees = 0,
): Rectangle {
  const angle = (degrees * Math.PI) / 180;
  const [x, y] = [Math.cos(angle), Math.sin(angle)];
  return {
    centre: { x: centre[0], y: centre[1] },
    along: { x, y },
    down: { x: -y, y: x },
    width,
    height,
  };
}

/** A page full of ink, but for one white stripe from top to bottom. */
export function inkedPage(width: number, height: number, stripe: { left: number; width: number }) {
  const page = blankPage(width, height);
  for (let at = 0; at < width * height; at++) {
    const [x, y] = [at % width, Math.floor(at / width)];
    const isInk = (x + y) % 8 < 4 && (x < stripe.left || x >= stripe.left + stripe.width);
    if (isInk) page.data.fill(0, 4 * at, 4 * at + 3);
  }
  return page;
}

/** A white page. */
export function blankPage(width: number, height: number) {
  return { width, height, data: new Uint8Array(width * height * 4).fill(255) };
}
