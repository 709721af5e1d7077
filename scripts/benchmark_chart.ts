/**
 *     npm run setup && node dist/scripts/benchmark_chart.js
 *
 * Draws docs/images/speed.svg, the chart of the README: images per second of each row of the first table in
 * docs/benchmarks.md that has them. Run it again when that table changes; a test compares the two.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { escapeMarkup } from '../src/report/markup.js';

const DOCS = fileURLToPath(new URL('../../docs/', import.meta.url));
export const BENCHMARKS = join(DOCS, 'benchmarks.md');
export const CHART = join(DOCS, 'images', 'speed.svg');

/** Pixels. */
const WIDTH = 760;
const NAMES_WIDTH = 340;
const FIGURES_WIDTH = 60;
const ROW_HEIGHT = 30;
const BAR_HEIGHT = 20;
const TOP = 34;

interface Row {
  name: string;
  imagesPerSecond: number;
}

/**
 * The rows of the first Markdown table with a column `images/s`.
 *
 * @throws Error if there is none, or a row has no number in it
 */
export function rowsOf(markdown: string): Row[] {
  const lines = markdown.split('\n').map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  const head = lines.findIndex((cells) => cells.includes('images/s'));
  if (head < 0) throw new Error('no table has a column images/s');
  const column = lines[head]!.indexOf('images/s');
  const rest = lines.slice(head + 2);
  const end = rest.findIndex((cells) => cells.length === 0);
  return rest.slice(0, end < 0 ? undefined : end).map((cells) => {
    const imagesPerSecond = Number(cells[column]!.replaceAll(',', ''));
    if (!(imagesPerSecond > 0)) throw new Error(`${cells[0]} has no images/s`);
    return { name: cells[0]!, imagesPerSecond };
  });
}

/** Follows the reader's light or dark scheme, also as a picture in another page. */
const STYLE = `
    text { font: 14px system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1c2128; }
    .faint { fill: #57606a; }
    .ours { fill: #0b62a8; } .pytorch { fill: #c2500c; } .other { fill: #6e7781; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6eaf0; } .faint { fill: #9aa5b1; }
      .ours { fill: #6cb6ff; } .pytorch { fill: #ff9a5c; } .other { fill: #9aa5b1; }
    }
`;

/** @returns an SVG document with one bar per row */
export function drawChart(rows: readonly Row[]): string {
  const height = TOP + rows.length * ROW_HEIGHT + 6;
  const longest = Math.max(...rows.map(({ imagesPerSecond }) => imagesPerSecond));
  const scale = (WIDTH - NAMES_WIDTH - FIGURES_WIDTH) / longest;
  const bars = rows.map(({ name, imagesPerSecond }, index) => {
    const top = TOP + index * ROW_HEIGHT;
    const width = Math.max(1, imagesPerSecond * scale).toFixed(1);
    const baseline = top + 15;
    const end = (NAMES_WIDTH + imagesPerSecond * scale + 6).toFixed(1);
    return [
      `  <text x="${NAMES_WIDTH - 8}" y="${baseline}" text-anchor="end">${escapeMarkup(name)}</text>`,
      `  <rect class="${kindOf(name)}" x="${NAMES_WIDTH}" y="${top}" width="${width}" height="${BAR_HEIGHT}" rx="2"/>`,
      `  <text x="${end}" y="${baseline}">${imagesPerSecond.toFixed(1)}</text>`,
    ].join('\n');
  });
  const figures = rows.map(({ name, imagesPerSecond }) => `${name} ${imagesPerSecond.toFixed(1)}`);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `  <title>Images per second of training steps: ${escapeMarkup(figures.join('; '))}</title>`,
    `  <style>${STYLE}  </style>`,
    `  <text class="faint" x="${NAMES_WIDTH}" y="20">images per second of training steps</text>`,
    ...bars,
    '</svg>\n',
  ].join('\n');
}

function kindOf(name: string): 'ours' | 'pytorch' | 'other' {
  if (name.startsWith('twotower')) return 'ours';
  return name.startsWith('PyTorch') ? 'pytorch' : 'other';
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(CHART, drawChart(rowsOf(readFileSync(BENCHMARKS, 'utf8'))));
}
