/**
 * Charts as SVG, drawn by Observable Plot on a DOM of its own, without a browser. Called by the reports.
 *
 * Colours are the CSS variables of `page.ts` (`--series-0` …, `--part-…`, `--heat`) and `currentColor`, so
 * that a page in the dark or on paper recolours what is drawn. A chart carries its title and description
 * for those who do not see it. Text is escaped by the DOM's serializer.
 */
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { Markup } from './markup.js';
import type { Measured } from './series.js';
import { cutText } from './text.js';

/** Pixels; a chart shrinks with its column. Of a column's width on a desk, and nearly a phone's. */
const WIDTH = 440;
const HEIGHT = 240;

/** What is said of a chart. */
interface Caption {
  title: string;
  description: string;
}

/** A line over steps. */
export interface Curve {
  /** Of the run that it belongs to: an index among the runs. */
  series: number;
  points: readonly Measured[];
  /** `test`: its points are marked, each with its value as a tooltip. `train`: fainter where tests are too. */
  kind: 'train' | 'test';
}

/** @param axis of the values: its name, and whether it is logarithmic or a percentage */
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
    // A ten-thousandth is a longer label than any other axis has.
    marginLeft: axis.logarithmic ? 62 : 52,
    marginRight: 16,
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

/** Pixels: so small that many do not grow together into a band thicker than the line. */
function dotRadius(dots: number): number {
  return Math.max(1, Math.min(3.5, WIDTH / 4 / dots));
}

/** Those between which all values lie. */
function powersOfTen(curves: readonly Curve[]): number[] {
  let [least, most] = [Infinity, 0];
  for (const { value } of curves.flatMap(({ points }) => points)) {
    [least, most] = [Math.min(least, value), Math.max(most, value)];
  }
  const [first, last] = [Math.floor(Math.log10(least)), Math.ceil(Math.log10(most))];
  // From text, which rounds to the nearest number: 10 ** -5 is not 1e-5.
  return Array.from({ length: last - first + 1 }, (_, index) => Number(`1e${first + index}`));
}

/** One bar, divided. */
export interface DividedBar {
  label: string;
  parts: { part: Part; milliseconds: number }[];
}

/** What a step's time is divided into, in the order in which it passes, with what a reader calls it. */
export const PARTS = {
  data: 'waiting for data',
  forward: 'forward',
  backward: 'backward',
  copy: 'exchange: copying',
  wait: 'exchange: waiting',
  update: 'update',
  other: 'other',
} as const;

export type Part = keyof typeof PARTS;

/** A bar under another, on one axis of milliseconds. */
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
    x: { label: 'milliseconds a step', grid: true, ticks: 5, nice: true, domain: [0, longest] },
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

/** Up to so many classes their names and counts are legible. */
const MOST_NAMED = 20;

/**
 * @param counts `[label][predicted]`, images; a cell is as deep as its share of the label's images
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
    tickFormat: (label: number) => (named ? cutText(classes[label]!, 12) : ''),
    tickSize: 0,
  };
  const place = { x: 'predicted', y: 'label' };
  return drawn(caption, {
    width: WIDTH,
    height: WIDTH,
    marginLeft: named ? 100 : 24,
    marginBottom: named ? 92 : 32,
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

/** The colour of a run, by its place among them; the eight colours come round again. */
export function seriesColour(series: number): string {
  return `var(--series-${series % 8})`;
}

/** What is used of the browser's types, which this program is compiled without. */
interface SvgElement {
  textContent: string;
  outerHTML: string;
  setAttribute(name: string, value: string): void;
  prepend(child: SvgElement): void;
}

interface SvgDocument {
  createElementNS(namespace: string, tag: string): SvgElement;
}

/** Serialized, with its title and description as the elements that screen readers look for. */
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
