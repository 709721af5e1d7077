/** Runs of one recipe that differ by their random seed: the mean and the standard deviation of their tests. */
import { settingsOf } from './configuration_listing.js';
import type { Markup } from './markup.js';
import { table } from './page.js';
import { formatPercent, formatTable } from './text.js';

/** The mean of `n` values, and their sample standard deviation, which divides by n − 1. */
export interface Sample {
  mean: number;
  /** null for a single value. */
  deviation: number | null;
  n: number;
}

/** @param values at least one */
export function sampleOf(values: readonly number[]): Sample {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: n === 1 ? null : Math.sqrt(squares / (n - 1)), n };
}

interface Tested {
  top1: number;
  top5: number;
  loss: number;
}

const FIGURES: [name: string, value: (test: Tested) => number, shown: (value: number) => string][] =
  [
    ['top-1', ({ top1 }) => top1, formatPercent],
    ['top-5', ({ top5 }) => top5, formatPercent],
    ['loss', ({ loss }) => loss, (value) => value.toFixed(4)],
  ];

/**
 * One line per run, and below them the mean and the standard deviation of those that were tested.
 *
 * @param width columns of the terminal
 */
export function seedsText(
  runs: readonly { path: string; test: Tested | null }[],
  width: number,
): string {
  const rows = runs.map(({ path, test }) => [
    path,
    ...FIGURES.map(([, value, shown]) => (test === null ? '–' : shown(value(test)))),
  ]);
  const tests = runs.flatMap(({ test }) => test ?? []);
  if (tests.length > 1) {
    const samples = FIGURES.map(([, value]) => sampleOf(tests.map(value)));
    rows.push(
      [`mean, n = ${tests.length}`, ...samples.map(({ mean }, index) => FIGURES[index]![2](mean))],
      [
        'standard deviation',
        ...samples.map(({ deviation }, index) => FIGURES[index]![2](deviation!)),
      ],
    );
  }
  return formatTable(['run', ...FIGURES.map(([name]) => name)], rows, width);
}

/**
 * The same for a report's page.
 *
 * @param tests of the runs that are complete
 * @returns null for fewer than two
 */
export function seedsTable(tests: readonly Tested[]): Markup | null {
  if (tests.length < 2) return null;
  return table({
    caption: `The last tests of ${tests.length} complete runs that differ by their seed alone`,
    headings: ['', 'mean', 'standard deviation', 'n'],
    rows: FIGURES.map(([name, value, shown]) => {
      const { mean, deviation, n } = sampleOf(tests.map(value));
      return [`test ${name}`, shown(mean), shown(deviation!), String(n)];
    }),
    numeric: true,
  });
}

/** Whether the configurations are the same but for their seeds, which all differ. */
export function differBySeedAlone(configurations: readonly object[]): boolean {
  const settings = configurations.map((configuration) => settingsOf(configuration));
  const seeds = settings.map((own) => own.get('training.seed'));
  const others = configurations.map((configuration, index) => {
    const own = settings[index]!;
    own.delete('training.seed');
    const { network } = configuration as { network?: object };
    return JSON.stringify([[...own], network]);
  });
  return new Set(seeds).size === seeds.length && new Set(others).size === 1;
}
