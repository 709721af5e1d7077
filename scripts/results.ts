/**
 *     node dist/scripts/results.js runs/cifar10-13pct runs/cifar10-13pct-lrn --at 1,10,100,160 --keep docs/runs
 *
 * Prints the tables of docs/results.md from run folders and folders of `train --seeds`: one row per argument with the
 * mean and the standard deviation of its complete runs' last tests, and with `--at` the curves at these epochs. `--keep`
 * writes each run's curve to DIR/NAME.jsonl.gz: one line per epoch and per test, and the last test.
 */
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { loadConfiguration } from '../src/configuration.js';
import { makeFolder, writeDurably } from '../src/durable_file.js';
import { UserError } from '../src/errors.js';
import { sampleOf } from '../src/report/seeds.js';
import { openRunFolder } from '../src/runs/layout.js';
import { metricsIn } from '../src/runs/metrics_log.js';
import { isSeedFolder, runPathsAt } from '../src/runs/seed_folder.js';
import { readEnd } from '../src/runs/summary.js';
import type { TestEvent } from '../src/runs/metrics.js';
import type { LastTest } from '../src/runs/summary.js';

/** Means over the steps of an epoch. */
interface EpochMeans {
  event: 'epoch';
  epoch: number;
  steps: number;
  loss: number;
  /** Fraction of the training images. */
  accuracy: number;
  learningRate: number;
}

/** A run's curve. */
export interface Curve {
  path: string;
  /** Of the recipe. */
  epochs: number;
  isComplete: boolean;
  lines: (EpochMeans | TestEvent)[];
  lastTest: LastTest | null;
}

/** @throws UserError if `path` is no run folder */
export function curveOf(path: string): Curve {
  const run = openRunFolder(path);
  const { training } = loadConfiguration({ file: run.configurationFile });
  const lines: Curve['lines'] = [];
  let means: EpochMeans | undefined;
  for (const event of metricsIn(run.metricsFile)) {
    if (event.event === 'test') {
      const { step, epoch, loss, top1, top5 } = event;
      lines.push({ event: 'test', step, epoch, loss, top1, top5 });
    }
    if (event.event !== 'train') continue;
    const { epoch, loss, accuracy, learningRate } = event;
    if (means?.epoch !== epoch) {
      means = { event: 'epoch', epoch, steps: 0, loss: 0, accuracy: 0, learningRate };
      lines.push(means);
    }
    means.steps++;
    means.loss += (loss - means.loss) / means.steps;
    means.accuracy += (accuracy - means.accuracy) / means.steps;
  }
  const { summary, lastTest } = readEnd(run);
  const isComplete = summary?.status === 'completed';
  return { path, epochs: training.epochs, isComplete, lines, lastTest };
}

const errorOf = (accuracy: number): number => 100 * (1 - accuracy);

/** `11.14`, or `11.14 ± 0.12` of several. */
function spread(values: readonly number[]): string {
  if (values.length === 0) return '';
  const { mean, deviation } = sampleOf(values);
  return deviation === null ? mean.toFixed(2) : `${mean.toFixed(2)} ± ${deviation.toFixed(2)}`;
}

function markdown(rows: readonly (readonly string[])[]): string {
  const [headings, ...others] = rows;
  return [headings!, headings!.map(() => '---'), ...others]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

/** The last tests of the complete runs, a row per group. Errors in percent. */
export function testTable(groups: readonly { name: string; runs: readonly Curve[] }[]): string {
  const rows = groups.flatMap(({ name, runs }) => {
    const complete = runs.filter(({ isComplete, lastTest }) => isComplete && lastTest !== null);
    if (complete.length === 0) return [];
    const errors = complete.map(({ lastTest }) => errorOf(lastTest!.top1));
    const training = complete.map(({ lines }) => lines.findLast((line) => line.event === 'epoch'));
    return [
      [
        name,
        String(complete[0]!.epochs),
        String(complete.length),
        spread(errors),
        errors.map((error) => error.toFixed(2)).join(', '),
        spread(training.map((last) => errorOf(last!.accuracy))),
      ],
    ];
  });
  const headings = ['run', 'epochs', 'n', 'test error, %', 'each run', 'training error, %'];
  return markdown([headings, ...rows]);
}

/** Training and test errors at some epochs, means over the runs that have come so far. */
export function curveTable(
  groups: readonly { name: string; runs: readonly Curve[] }[],
  epochs: readonly number[],
): string {
  const rows = groups.flatMap(({ name, runs }) =>
    (['epoch', 'test'] as const).map((kind) => [
      `${name}, ${kind === 'epoch' ? 'training' : 'tests'}`,
      ...epochs.map((epoch) =>
        spread(
          runs.flatMap(({ lines }) =>
            lines
              .filter((line) => line.event === kind && line.epoch === epoch)
              .slice(-1)
              .map((line) => errorOf(line.event === 'test' ? line.top1 : line.accuracy)),
          ),
        ),
      ),
    ]),
  );
  return markdown([['error, %', ...epochs.map(String)], ...rows]);
}

/** The run's curve as compressed JSON lines, the same bytes each time. */
export function compressed({ lines, lastTest }: Curve): Uint8Array {
  const last = lastTest && {
    event: 'lastTest',
    step: lastTest.step,
    crops: lastTest.crops,
    images: lastTest.images,
    loss: lastTest.loss,
    top1: lastTest.top1,
    top5: lastTest.top5,
  };
  const events = [...lines, ...(last === null ? [] : [last])];
  return gzipSync(events.map((event) => `${JSON.stringify(event)}\n`).join(''), { level: 9 });
}

/** `demo`, or `demo-seed-1` for one of several seeds. */
function nameOf(path: string): string {
  const folder = dirname(resolve(path));
  return isSeedFolder(folder) ? `${basename(folder)}-${basename(path)}` : basename(path);
}

function main(): void {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { at: { type: 'string' }, keep: { type: 'string' } },
  });
  if (positionals.length === 0) throw new UserError('name run folders');
  const groups = positionals.map((path) => ({
    name: basename(path),
    runs: runPathsAt(path).map((run) => curveOf(run)),
  }));
  console.log(testTable(groups));
  if (values.at !== undefined)
    console.log(`\n${curveTable(groups, values.at.split(',').map(Number))}`);
  if (values.keep === undefined) return;
  makeFolder(values.keep);
  for (const run of groups.flatMap(({ runs }) => runs)) {
    writeDurably(join(values.keep, `${nameOf(run.path)}.jsonl.gz`), [compressed(run)]);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
