import { LINE_HEIGHT, type Line } from "./line.ts";

/** How far from where it should be a line may be cut, to find a gap between words. */
const REACH = 110;

/** A gap of this many columns is a space. */
const SPACE_COLUMNS = 7;

/** Share of a line's contrast that a column without letters may have. */
const BLANK = 0.35;

/** A part of a line, and whether a space comes before it. */
export interface Piece {
  readonly line: Line;
  readonly spaced: boolean;
}

/** Cuts a line that is wider than `maxWidth` at the widest gaps near even parts. */
export function piecesOf(line: Line, maxWidth: number): Piece[] {
  if (line.width <= maxWidth) return [{ line, spaced: false }];
  const count = Math.ceil(line.width / (maxWidth - 2 * REACH));
  const blank = blankColumns(line);
  const pieces: Piece[] = [];
  let [start, spaced] = [0, false];
  for (let index = 1; index < count; index++) {
    const gap = widestGap(blank, Math.round((index * line.width) / count));
    const end = Math.floor((gap.start + gap.end) / 2);
    pieces.push({ line: part(line, start, end), spaced });
    [start, spaced] = [end, gap.end - gap.start >= SPACE_COLUMNS];
  }
  pieces.push({ line: part(line, start, line.width), spaced });
  return pieces;
}

/** So many columns without letters, in sum, part two digits: between those of one number are 12 at most (measured). */
const PARTING_COLUMNS = 18;

/** Tells whether two places of a line, in columns, are further apart than digits of one number. */
export function gapsOf(line: Line): (from: number, to: number) => boolean {
  let blank: readonly boolean[] | undefined;
  return (from, to) => {
    blank ??= blankColumns(line);
    return blank.slice(from, to).filter(Boolean).length >= PARTING_COLUMNS;
  };
}

/** Where in the middle third of a line letters stand apart, as a share of its width. */
export function spaceInTheMiddle(line: Line): number | undefined {
  const blank = blankColumns(line);
  const [first, end] = [Math.ceil(line.width / 3), Math.floor((2 * line.width) / 3)];
  let [best, from] = [{ start: first, length: 0 }, first];
  for (let column = first; column < end; column++) {
    if (blank[column] !== true) from = column + 1;
    else if (column + 1 - from > best.length) best = { start: from, length: column + 1 - from };
  }
  return best.length < SPACE_COLUMNS ? undefined : (best.start + best.length / 2) / line.width;
}

function part({ width, data }: Line, start: number, end: number): Line {
  const columns = end - start;
  const cut = new Uint8Array(columns * LINE_HEIGHT * 4);
  for (let row = 0; row < LINE_HEIGHT; row++) {
    const from = (row * width + start) * 4;
    cut.set(data.subarray(from, from + columns * 4), row * columns * 4);
  }
  return { width: columns, data: cut };
}

/** Columns in which nothing stands out, the upper and lower edges left aside. */
function blankColumns({ width, data }: Line): boolean[] {
  const contrasts = Array.from({ length: width }, (_, column) => {
    let [least, most] = [255, 0];
    for (let row = LINE_HEIGHT / 8; row < (LINE_HEIGHT * 7) / 8; row++) {
      const at = (row * width + column) * 4;
      const light = ((data[at] ?? 0) + 2 * (data[at + 1] ?? 0) + (data[at + 2] ?? 0)) / 4;
      least = Math.min(least, light);
      most = Math.max(most, light);
    }
    return most - least;
  });
  const limit = BLANK * Math.max(...contrasts);
  return contrasts.map((contrast) => contrast <= limit);
}

function widestGap(blank: readonly boolean[], ideal: number): { start: number; end: number } {
  let best = { start: ideal, end: ideal };
  let start = ideal - REACH;
  for (let column = start; column <= ideal + REACH; column++) {
    if (blank[column] === true && column < ideal + REACH) continue;
    if (column - start > best.end - best.start) best = { start, end: column };
    start = column + 1;
  }
  return best;
}
