/**
 * Charts as SVG, drawn by Observable Plot on a DOM without a browser.
 *
 * Colours are the CSS variables of `page.ts` (`--series-0` …, `--part-…`, `--heat`) and `currentColor`, so
 * that a chart follows the colours of a dark page or of paper. A chart carries its title and description for
 * screen readers. The DOM's serializer escapes text.
 */
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { Markup } from './markup.js';
import type { Measured } from './series.js';
import { cutText } from './text.js';

/** Pixels. A chart shrinks with its column; this is a column's width on a desktop, and nearly a phone's. */
const WIDTH = 440;
const HEIGHT = 240;

/** What screen readers say of a chart. */
interface Caption {
  title: string;
  description: string;
}

/** A line over steps. */
export interface Curve {
  /** Index of its run among the runs. */
  series: number;
  points: readonly Measured[];
  /** `test`: points are marked, each with its value as a tooltip. `train`: fainter if there are tests too. */
  kind: 'train' | 'test';
}

/** @param axis the vertical axis: its name, and whether it is logarithmic or a percentage */
export function drawCurves(
  caption: Caption,
  axis: { label: string; logarithmic?: boolean; percent?: boolean },
  curves: readonly Curve[],
): Markup {
  const tested = curves.some(({ kind }) => kind === 'test');
  const marks = curves.flatMap(({ series, points, kind }) => {
    const stroke = seriesColour(series);
    const place = { x: 'step', y: 'value' };
    if (kind === 'train') {
      return [
        Plot.line(points, { ...place, stroke, strokeOpacity: tested ? 0.55 : 1, strokeWidth: 1.5 }),
      ];
    }
    const title = ({ step, value }: Measured) =>
      `step ${step}: ${axis.percent ? `${(100 * value).toFixed(2)} %` : value.toPrecision(4)}`;
    return [
      Plot.line(points, { ...place, stroke, strokeWidth: 2 }),
      Plot.dot(points, { ...place, fill: stroke, r: dotRadius(points.length), title }),
    ];
  });
  return drawn(caption, {
    width: WIDTH,
    height: HEIGHT,
    // The labels of a logarithmic axis, such as 0.0001, are the longest.
    marginLeft: axis.logarithmic ? 62 : 52,
    marginRight: 16,
    // The axis's label stands above its highest number.
    marginTop: 28,
    marginBottom: 38,
    x: { label: 'step', ticks: 5 },
    y: {
      label: axis.label,
      grid: true,
      nice: true,
      ...(axis.logarithmic
        ? { type: 'log', ticks: powersOfTen(curves), tickFormat: String }
        : { type: 'linear', ticks: 5, zero: true }),
      ...(axis.percent && { percent: true, domain: [0, 100] }),
    },
    marks,
  });
}

/** Pixels: small enough that many points do not merge into a band thicker than the line. */
function dotRadius(dots: number): number {
  return Math.max(1, Math.min(3.5, WIDTH / 4 / dots));
}

/** The powers of ten that enclose all values. */
function powersOfTen(curves: readonly Curve[]): number[] {
  let [least, most] = [Infinity, 0];
  for (const { value } of curves.flatMap(({ points }) => points)) {
    [least, most] = [Math.min(least, value), Math.max(most, value)];
  }
  const [first, last] = [Math.floor(Math.log10(least)), Math.ceil(Math.log10(most))];
  // Parsed from text, because 10 ** -5 is not exactly 1e-5.
  return Array.from({ length: last - first + 1 }, (_, index) => Number(`1e${first + index}`));
}

/** A bar and the parts that it is divided into. */
export interface DividedBar {
  label: string;
  parts: { part: Part; milliseconds: number }[];
}

/** The parts of a step's time in chronological order, with the names that a reader sees. */
export const PARTS = {
  data: 'waiting for data',
  forward: 'forward',
  backward: 'backward',
  copy: 'exchange: copying',
  wait: 'exchange: waiting',
  hosts: 'waiting for other hosts',
  update: 'update',
  other: 'other',
} as const;

export type Part = keyof typeof PARTS;

/** Stacked bars, one below the other, on one axis of milliseconds. */
export function drawDividedBars(caption: Caption, bars: readonly DividedBar[]): Markup {
  const segments = bars.flatMap(({ parts }, row) => parts.map((part) => ({ row, ...part })));
  const longest = Math.max(
    ...bars.map(({ parts }) => parts.reduce((sum, { milliseconds }) => sum + milliseconds, 0)),
  );
  const stack = Plot.stackX({
    x: 'milliseconds',
    y: 'row',
    fill: ({ part }: { part: Part }) => `var(--part-${part})`,
    title: ({ part, milliseconds }: { part: Part; milliseconds: number }) =>
      `${PARTS[part]}: ${milliseconds.toFixed(2)} ms`,
    insetRight: 1,
  });
  return drawn(caption, {
    width: WIDTH,
    height: 64 + 58 * bars.length,
    marginLeft: 8,
    marginRight: 16,
    marginTop: 24,
    marginBottom: 40,
    x: { label: 'milliseconds per step', grid: true, ticks: 5, nice: true, domain: [0, longest] },
    y: { axis: null, domain: bars.map((_, row) => row), padding: 0.52 },
    color: { type: 'identity' },
    marks: [
      Plot.barX(segments, stack),
      Plot.text(bars, {
        x: () => 0,
        y: (_: unknown, row: number) => row,
        text: ({ label }: DividedBar) => cutText(label, 56),
        textAnchor: 'start',
        fontWeight: 600,
        dy: -24,
      }),
    ],
  });
}

/** With more classes, names and counts are not legible. */
const MOST_NAMED = 20;

/**
 * @param counts images, `[label][predicted]`; a cell's colour shows its share of the label's images
 * @param classes by label; names may be equal
 */
export function drawConfusion(
  caption: Caption,
  classes: readonly string[],
  counts: readonly (readonly number[])[],
): Markup {
  const named = classes.length <= MOST_NAMED;
  const cells = counts.flatMap((row, label) => {
    const images = Math.max(
      1,
      row.reduce((sum, count) => sum + count, 0),
    );
    return row
      .map((count, predicted) => ({ label, predicted, count, share: count / images, images }))
      .filter(({ count }) => count > 0);
  });
  type Cell = (typeof cells)[number];
  const labels = classes.map((_, label) => label);
  const axis = {
    domain: labels,
    tickFormat: (label: number) => (named ? cutText(classes[label]!, 18) : ''),
    tickSize: 0,
  };
  const place = { x: 'predicted', y: 'label' };
  return drawn(caption, {
    width: WIDTH,
    height: WIDTH,
    marginLeft: named ? 132 : 24,
    marginBottom: named ? 120 : 32,
    marginTop: 26,
    padding: named ? 0.06 : 0,
    x: { ...axis, label: 'predicted', tickRotate: named ? -50 : 0 },
    y: { ...axis, label: 'class' },
    opacity: { type: 'identity' },
    marks: [
      Plot.cell(cells, {
        ...place,
        fill: 'var(--heat)',
        fillOpacity: ({ share }: Cell) => 0.06 + 0.94 * share,
        title: ({ label, predicted, count, images }: Cell) =>
          `${classes[label]!} taken for ${classes[predicted]!}: ${count} of ${images}`,
      }),
      ...(named
        ? [0, 1].map((deep) =>
            Plot.text(
              cells.filter(({ share }) => Number(share > 0.45) === deep),
              {
                ...place,
                text: 'count',
                fill: deep === 1 ? 'var(--heat-ink)' : 'currentColor',
                fontSize: 10,
              },
            ),
          )
        : []),
      Plot.frame({ strokeOpacity: 0.3 }),
    ],
  });
}

/** The colour of a run by its index; the eight colours repeat. */
export function seriesColour(series: number): string {
  return `var(--series-${series % 8})`;
}

/** The browser types used here; this program is compiled without the DOM's declarations. */
interface SvgElement {
  textContent: string;
  outerHTML: string;
  setAttribute(name: string, value: string): void;
  prepend(child: SvgElement): void;
}

interface SvgDocument {
  createElementNS(namespace: string, tag: string): SvgElement;
}

/** Serializes a chart, with title and description as the elements that screen readers look for. */
function drawn({ title, description }: Caption, options: Plot.PlotOptions): Markup {
  const { document } = parseHTML('<html></html>') as unknown as { document: SvgDocument };
  const plot = Plot.plot as (options: object) => SvgElement;
  const svg = plot({ ...options, document });
  svg.setAttribute('role', 'img');
  for (const [tag, text] of [
    ['desc', description],
    ['title', title],
  ] as const) {
    const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
    element.textContent = text;
    svg.prepend(element);
  }
  return new Markup(svg.outerHTML);
}
