/** A report's section on a test class by class: the confusion matrix and the most frequent confusions. */
import { drawConfusion } from './charts.js';
import { html } from './markup.js';
import type { Markup } from './markup.js';
import { figure, section, table } from './page.js';
import { formatCount, formatPercent } from './text.js';

/** `test.json`: a test class by class. */
export interface ClassResults {
  step: number;
  images: number;
  /** Crops per image. */
  crops: number;
  loss: number;
  top1: number;
  top5: number;
  /** Names by label. */
  classes: string[];
  /** Image counts, `[label][predicted]`. */
  confusion: number[][];
}

/** A matrix of more classes is not legible; the most frequent confusions are still listed. */
const MOST_CLASSES = 100;
const LISTED_CONFUSIONS = 8;

/** @param of completes the title, such as ` of runs/demo` */
export function confusionSection(of: string, results: ClassResults): Markup {
  const { classes, confusion: counts, images, step, top1 } = results;
  const title = `Confusion matrix${of}`;
  const caption = `${formatCount(images)} test images after step ${formatCount(step)}, top-1 ${formatPercent(top1)}; a row is a class, a column what it was taken for`;
  const listed = counts
    .flatMap((row, label) => {
      const of = row.reduce((sum, own) => sum + own, 0);
      return row.map((count, predicted) => ({ label, predicted, count, of }));
    })
    .filter(({ label, predicted, count }) => label !== predicted && count > 0)
    .sort((one, other) => other.count - one.count)
    .slice(0, LISTED_CONFUSIONS);
  const matrix = drawConfusionOf(title, caption, classes, counts);
  return section(
    title,
    ...(matrix === null ? [] : [html`<div class="narrow">${figure(caption, matrix)}</div>`]),
    table({
      caption: 'The most frequent confusions',
      headings: ['class', 'taken for', 'images', 'share'],
      rows: listed.map(({ label, predicted, count, of }) => [
        classes[label]!,
        classes[predicted]!,
        `${formatCount(count)} of ${formatCount(of)}`,
        formatPercent(count / of),
      ]),
    }),
  );
}

function drawConfusionOf(
  title: string,
  description: string,
  classes: string[],
  counts: number[][],
): Markup | null {
  if (classes.length > MOST_CLASSES) return null;
  return drawConfusion({ title, description }, classes, counts);
}
