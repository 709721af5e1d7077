/** The times of split, grouped and dense steps on the GPU, by `compare` of the library. */
import { compare } from '../../src/library/compare.js';
import type { Comparison } from '../../src/library/compare.js';
import type { ComparisonRow } from '../../src/training/comparison.js';
import type { Precision } from '../../src/backend/numerics.js';
import type { Figure, Limit, Report } from './figures.js';
import { GENERATED, pairsHere, precisionsHere } from './settings.js';
import type { Settings } from './settings.js';

/** Split on one GPU over grouped. */
const MOST_SPLIT = 1.1;
/** The exchange's share of a split step, percent. */
const MOST_EXCHANGE = 2;
/** Images/s of the dense network on an H100 or H200, at the largest batch. */
const DENSE_TARGETS: Partial<Record<Precision, number>> = { tf32: 20_000, bf16: 30_000 };

export async function timePlacements(settings: Settings, report: Report): Promise<void> {
  const { network, timedBatches, timedSteps } = settings;
  const largest = Math.max(...timedBatches);
  for (const precision of precisionsHere(settings)) {
    for (const batch of timedBatches) {
      for (const gpus of pairsHere()) {
        const recipe = { ...network, batch, towers: 2, overrides: GENERATED };
        const compared = await compare({ ...recipe, gpus, precision, steps: timedSteps });
        const target = batch === largest ? DENSE_TARGETS[precision] : undefined;
        const prefix = `${precision}, batch ${batch}, gpus ${gpus.join(',')}`;
        for (const figure of figuresOf(compared, prefix, gpus[0] === gpus[1], target)) {
          report(figure);
        }
      }
    }
  }
}

/** @param denseTarget images/s; undefined if there is none for the batch and precision */
function figuresOf(
  { rows }: Comparison,
  prefix: string,
  isShared: boolean,
  denseTarget: number | undefined,
): Figure[] {
  const figure = (name: string, value: number, unit: string, target?: Limit): Figure => {
    return { name: `${prefix}: ${name}`, value, unit, ...(target !== undefined && { target }) };
  };
  const [split, grouped] = ['split', 'grouped'].map((name) =>
    rows.find((row) => row.name === name),
  ) as [ComparisonRow, ComparisonRow];
  const step = split.msPerStep.median;
  const { exchangeCopyMs, exchangeWaitMs } = split.parts;
  const ratio = step / grouped.msPerStep.median;
  const exchange = (100 * exchangeCopyMs) / step;
  return [
    ...rows.map(({ name, imagesPerSecond }) => {
      const isAimed = name === 'dense' && denseTarget !== undefined;
      const target = isAimed ? { atLeast: denseTarget } : undefined;
      return figure(name, imagesPerSecond, 'images/s', target);
    }),
    figure('split over grouped', ratio, '×', isShared ? { atMost: MOST_SPLIT } : undefined),
    figure('exchange in a split step', exchange, '%', { atMost: MOST_EXCHANGE }),
    figure('waiting for the other tower', (100 * exchangeWaitMs) / step, '%'),
  ];
}
