/** A test's result as text: the totals and, if there are few classes, the confusion matrix. */
import { formatCount, formatPercent, formatTable, inRows } from './text.js';

/** With more classes the table would be unreadable; `--json` has all of them. */
const MOST_CLASSES = 20;

export interface ClassifiedImages {
  loss: number;
  top1: number;
  top5: number;
  images: number;
  crops: number;
  classes: string[];
  perClass: (number | null)[];
  confusion: number[][];
}

/** One of several runs whose average was tested. */
export interface AveragedRun {
  path: string;
  loss: number;
  top1: number;
  top5: number;
}

/**
 * The totals and the confusion matrix; if the result is an average of several runs, each run before it.
 *
 * @param width columns of the terminal
 */
export function evaluationText(
  result: ClassifiedImages & { runs: readonly AveragedRun[] },
  width: number,
): string {
  const { runs } = result;
  if (runs.length === 1) return testText(result, width);
  const rows = [...runs, { ...result, path: `average of ${runs.length}` }].map(
    ({ path, top1, top5, loss }) => [
      path,
      formatPercent(top1),
      formatPercent(top5),
      loss.toFixed(4),
    ],
  );
  const table = formatTable(['run', 'top-1', 'top-5', 'loss'], rows, width);
  return [table, '', testText(result, width)].join('\n');
}

/** @param width columns of the terminal */
export function testText(result: ClassifiedImages, width: number): string {
  const { top1, top5, loss, images, crops, classes, perClass, confusion } = result;
  const totals = [
    `top-1 ${formatPercent(top1)}`,
    `top-5 ${formatPercent(top5)}`,
    `loss ${loss.toFixed(4)}`,
    `${formatCount(images)} images`,
    ...(crops === 1 ? [] : [`${crops} crops`]),
  ];
  const lines = inRows(totals, width);
  if (classes.length > MOST_CLASSES) {
    const more = `--json has each class's accuracy and the confusion of all ${formatCount(classes.length)}`;
    return [...lines, more].join('\n');
  }
  const rows = confusion.map((counts, label) => {
    const right = perClass[label]!;
    return [
      `${label} ${classes[label]}`,
      right === null ? '–' : formatPercent(right),
      ...counts.map((count) => formatCount(count)),
    ];
  });
  const headings = ['class', 'right', ...classes.map((_, label) => `as ${label}`)];
  return [...lines, '', formatTable(headings, rows, width)].join('\n');
}
