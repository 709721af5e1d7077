/**
 * Prints a table of all runs under `runs/`, or what differs in the configurations of two.
 *
 *     twotower runs
 *     twotower runs --compare runs/demo runs/demo-2
 */
import { compareRuns, listRuns } from '../library/runs.js';
import type { ListedRun } from '../library/runs.js';
import { note, print, printJson } from '../report/printing.js';
import { formatPercent, formatTable, localTime, terminalWidth } from '../report/text.js';
import { paths } from './option_kinds.js';
import { defineCommand } from './option_table.js';
import { jsonOption } from './output_options.js';

export const command = defineCommand({
  command: 'runs',
  options: {
    compare: paths({ nargs: 2, describe: 'Two run folders: print what differs in their settings' }),
    ...jsonOption,
  },
  examples: [
    ['runs', 'Status, epoch and accuracy of each run'],
    ['runs --compare runs/demo runs/demo-2', 'The settings that differ'],
  ],
  run: ({ compare, json }) => {
    if (compare !== undefined) {
      const differences = compareRuns(compare);
      if (json) return printJson(differences);
      if (differences.length === 0) return print('the settings are the same');
      const rows = differences.map(({ field, values }) => [
        field,
        ...values.map((value) => value ?? '–'),
      ]);
      return print(formatTable(['field', ...compare], rows, terminalWidth()));
    }
    const runs = listRuns('runs');
    if (json) return printJson(runs);
    if (runs.length === 0) return print('there are no runs in runs/');
    print(formatTable(HEADINGS, runs.map(rowOf), terminalWidth()));
    for (const { path, error } of runs) {
      if (error !== undefined) note(`${path} cannot be read: ${error}`);
    }
  },
});

const HEADINGS = ['run', 'preset', 'status', 'epoch', 'best', 'last', 'images/s', 'changed'];

function rowOf(run: ListedRun): string[] {
  const accuracy = (value: number | null) => (value === null ? '–' : formatPercent(value));
  return [
    run.path,
    run.preset ?? '–',
    run.status,
    `${run.epoch}/${run.epochs}`,
    accuracy(run.best),
    accuracy(run.last),
    run.imagesPerSecond?.toFixed(1) ?? '–',
    localTime(new Date(run.changed)),
  ];
}
