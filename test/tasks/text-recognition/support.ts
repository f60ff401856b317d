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

/** A white page. */
export function blankPage(width: number, height: number) {
  return { width, height, data: new Uint8Array(width * height * 4).fill(255) };
}
