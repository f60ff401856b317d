import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";

import { ROOT } from "../../src/publish/workspace.ts";
import type { Figure } from "./figure.ts";

/** A bar of the picture. */
export interface Bar {
  readonly label: string;
  readonly figure: Figure;
  /** Bars of one kind have one colour. */
  readonly kind: string;
}

export interface Picture {
  readonly title: string;
  readonly unit: string;
  readonly bars: readonly Bar[];
}

/** What a benchmark found. */
export interface Report {
  /** The JSON document. */
  readonly cases: readonly object[];
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly picture: Picture;
}

/** A table for a terminal, columns aligned; the first to the left, numbers to the right. */
export function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map((title, at) =>
    Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join("  ")
      .trimEnd();
  return [line(columns), line(widths.map((width) => "─".repeat(width))), ...rows.map(line)].join(
    "\n",
  );
}

/** `12.3 (11–15)`: the median and the range. */
export function spread({ median, min, max }: Figure, scale = 1): string {
  const shown = (value: number): string => {
    const scaled = value / scale;
    return String(Number(scaled.toPrecision(scaled >= 100 ? 3 : 2)));
  };
  return `${shown(median)} (${shown(min)}–${shown(max)})`;
}

const COLOURS = ["#8a94a6", "#f38020", "#3b82f6", "#10b981"];
const LABEL_WIDTH = 190;
const BAR_WIDTH = 460;
const ROW_HEIGHT = 24;
const TOP = 64;

/** Horizontal bars with their ranges, as SVG. */
export function svg({ title, unit, bars }: Picture): string {
  const most = Math.max(...bars.map(({ figure }) => figure.max));
  const kinds = [...new Set(bars.map(({ kind }) => kind))];
  const colour = (kind: string): string => COLOURS[kinds.indexOf(kind) % COLOURS.length] ?? "#000";
  const x = (value: number): number => LABEL_WIDTH + (value / most) * BAR_WIDTH;
  const height = TOP + bars.length * ROW_HEIGHT + 20;
  const width = LABEL_WIDTH + BAR_WIDTH + 110;
  const legend = kinds.map(
    (kind, at) =>
      `<rect x="${LABEL_WIDTH + at * 140}" y="34" width="12" height="12" fill="${colour(kind)}"/>` +
      `<text x="${LABEL_WIDTH + at * 140 + 18}" y="44">${escape(kind)}</text>`,
  );
  const rows = bars.map(({ label, figure, kind }, at) => {
    const y = TOP + at * ROW_HEIGHT;
    return (
      `<text x="${LABEL_WIDTH - 8}" y="${y + 14}" text-anchor="end">${escape(label)}</text>` +
      `<rect x="${LABEL_WIDTH}" y="${y + 3}" width="${(x(figure.median) - LABEL_WIDTH).toFixed(1)}" height="14" fill="${colour(kind)}"/>` +
      `<path d="M${x(figure.min).toFixed(1)} ${y + 10}H${x(figure.max).toFixed(1)}" stroke="#1f2937"/>` +
      `<text x="${(x(figure.max) + 8).toFixed(1)}" y="${y + 14}">${figure.median} ${escape(unit)}</text>`
    );
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="13" fill="#1f2937">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="16" y="22" font-size="15" font-weight="600">${escape(title)}</text>`,
    ...legend,
    ...rows,
    "</svg>",
    "",
  ].join("\n");
}

/** Writes the picture to test/bench/results. @returns its path from the root */
export async function writePicture(name: string, picture: Picture): Promise<string> {
  const file = path.join(ROOT, "test/bench/results", `${name}.svg`);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, svg(picture));
  return path.relative(ROOT, file);
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
