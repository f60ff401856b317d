/** Red, green and blue of the pixel in column x of row y. */
export type Draw = (x: number, y: number) => readonly [number, number, number];

/** Width and height: what the model sees, so that nothing is scaled. */
export const SIZE = 224;

/** Value noise: smooth, the same on every machine. */
function noise(x: number, y: number, length: number, seed: number): number {
  const at = (column: number, row: number): number => {
    let bits =
      Math.imul(column, 374_761_393) ^ Math.imul(row, 668_265_263) ^ Math.imul(seed, 69_069);
    bits = Math.imul(bits ^ (bits >>> 13), 1_274_126_177);
    return ((bits ^ (bits >>> 16)) >>> 0) / 0xffff_ffff;
  };
  const [column, row] = [Math.floor(x / length), Math.floor(y / length)];
  const [right, down] = [x / length - column, y / length - row].map((t) => t * t * (3 - 2 * t));
  const top = mix(at(column, row), at(column + 1, row), right ?? 0);
  return mix(top, mix(at(column, row + 1), at(column + 1, row + 1), right ?? 0), down ?? 0);
}

/** Noise of several lengths on top of each other: clouds, hills, bark. */
function clouds(x: number, y: number, seed: number): number {
  return [64, 32, 16, 8, 4].reduce(
    (sum, length, index) => sum + noise(x, y, length, seed + index) / 2 ** (index + 1),
    0,
  );
}

function mix(a: number, b: number, share: number): number {
  return a + (b - a) * share;
}

/** A ball in the light from above left, or undefined beside it. */
function ball(
  x: number,
  y: number,
  [centreX, centreY, radius]: readonly [number, number, number],
  colour: readonly [number, number, number],
): readonly [number, number, number] | undefined {
  const [dx, dy] = [(x - centreX) / radius, (y - centreY) / radius];
  const depth = 1 - dx * dx - dy * dy;
  if (depth < 0) return undefined;
  const light = 0.25 + 0.75 * Math.max(0, 0.7 * Math.sqrt(depth) - 0.45 * dx - 0.55 * dy);
  const shine = Math.max(0, light - 0.9) * 400;
  const [red, green, blue] = colour;
  return [red * light + shine, green * light + shine, blue * light + shine];
}

const hills: Draw = (x, y) => {
  const ridge = 120 + 40 * noise(x, 0, 60, 3) - 20 * noise(x, 0, 17, 4);
  if (y < ridge) {
    const cloud = Math.max(0, clouds(x, y * 2, 1) - 0.45) * 2;
    return [mix(90 + y / 2, 255, cloud), mix(150 + y / 3, 255, cloud), mix(225, 255, cloud)];
  }
  const grass = clouds(x, y * 3, 9);
  return [60 + 70 * grass, 90 + 110 * grass, 40 + 40 * grass];
};

const fruit: Draw = (x, y) =>
  ball(x, y, [80, 130, 55], [235, 60, 40]) ??
  ball(x, y, [155, 140, 50], [240, 150, 30]) ??
  ball(x, y, [118, 70, 42], [140, 200, 60]) ?? [
    150 + 40 * clouds(x * 3, y / 2, 20),
    110 + 30 * clouds(x * 3, y / 2, 20),
    80 + 25 * clouds(x * 3, y / 2, 20),
  ];

const night: Draw = (x, y) => {
  const star = noise(x * 37, y * 37, 1, 31) > 0.996 ? 200 : 0;
  const moon = ball(x, y, [160, 60, 30], [250, 245, 220]);
  return moon ?? [8 + star + y / 20, 10 + star + y / 16, 30 + star + y / 6];
};

const wall: Draw = (x, y) => {
  const row = Math.floor(y / 22);
  const isMortar = y % 22 < 3 || (x + (row % 2) * 24) % 48 < 3;
  const rough = clouds(x, y, 40 + row) * 60;
  return isMortar
    ? [170 + rough / 2, 165 + rough / 2, 155 + rough / 2]
    : [130 + rough, 60 + rough / 2, 45 + rough / 2];
};

function line(distance: number): boolean {
  return Math.abs(distance) < 1.6;
}

/** A house, a sun and a tree in black lines and flat colours. */
const house: Draw = (x, y) => {
  const sun = Math.hypot(x - 180, y - 42);
  const roof = y - (110 - Math.min(x - 40, 140 - x));
  const isInHouse = x >= 50 && x <= 130 && y >= 110 && y <= 190;
  if (line(sun - 22) || (x >= 38 && x <= 142 && y <= 112 && y >= 58 && line(roof)))
    return [0, 0, 0];
  if (isInHouse && (line(x - 50) || line(x - 130) || line(y - 110) || line(y - 190)))
    return [0, 0, 0];
  if (sun < 22) return [255, 220, 40];
  if (x >= 82 && x <= 100 && y >= 150 && y < 190) return [140, 90, 40];
  if (y > 58 && y < 110 && roof > 0 && x > 40 && x < 140) return [210, 60, 50];
  if (isInHouse) return [250, 235, 190];
  if (Math.hypot(x - 180, y - 125) < 28) return [90, 190, 80];
  if (x > 174 && x < 186 && y >= 150 && y < 192) return [120, 80, 50];
  return y > 190 ? [150, 210, 110] : [255, 255, 255];
};

/** Lines of dark marks on paper, as wide as words. */
const page: Draw = (x, y) => {
  const row = Math.floor((y - 20) / 14);
  const isLine = y > 20 && y < 204 && (y - 20) % 14 < 8 && x > 22 && x < 202;
  const isWord = noise(x, row * 50, 9, 50 + row) > 0.3;
  const isStroke = noise(x * 3, y * 2, 5, 60) > 0.48;
  const paper = 244 + 8 * noise(x, y, 40, 70);
  return isLine && isWord && isStroke ? [40, 40, 46] : [paper, paper - 3, paper - 12];
};

const stripes: Draw = (x, y) => {
  const band = Math.floor((x + y / 2) / 28) % 5;
  const colours = [
    [255, 0, 60],
    [0, 160, 255],
    [255, 230, 0],
    [20, 200, 90],
    [250, 250, 250],
  ] as const;
  return colours[band] ?? [0, 0, 0];
};

/** Pictures that anybody may see, by name. */
export const PICTURES: Readonly<Record<string, Draw>> = {
  hills,
  fruit,
  night,
  wall,
  house,
  page,
  stripes,
};
