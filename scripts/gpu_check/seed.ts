/** The reference implementation's training run: its network, its recipe and its ten epochs of CIFAR-10. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { train } from '../../src/library/train.js';
import { Skipped } from './figures.js';
import type { Report } from './figures.js';
import { precisionsHere } from './settings.js';
import type { Settings } from './settings.js';

/** @throws Skipped without CIFAR-10 */
export async function trainSeed(settings: Settings, report: Report): Promise<void> {
  const { data, network } = settings;
  if (data === null) throw new Skipped("--data DIR, with CIFAR-10's binary files, is not given");
  // PyTorch's own default for convolutions is TF32.
  const precision = precisionsHere(settings).includes('tf32') ? 'tf32' : 'float32';
  const run = await train({
    ...{ ...network, data, precision, gpus: [0], towers: 1, requireGpu: true },
    out: join(tmpdir(), 'run'),
  });
  report({ name: 'precision', value: precision });
  report({ name: 'epochs', value: run.epochs });
  const target = { atMost: 60 };
  report({ name: 'time, tests included', value: run.wallSeconds, unit: 's', target });
  report({ name: 'training', value: run.imagesPerSecond, unit: 'images/s' });
  const value = 100 * (run.test?.top1 ?? NaN);
  const bound = { atLeast: settings.leastAccuracy };
  report({ name: 'test accuracy, top-1', value, unit: '%', bound });
}
