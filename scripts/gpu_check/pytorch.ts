/** The dense network here and in PyTorch on the same GPU, step by step in turn. */
import { spawnSync } from 'node:child_process';
import type { Precision } from '../../src/backend/numerics.js';
import { TimedPlacement, noiseBatch, takeTurns } from '../../src/training/comparison.js';
import { usableCores } from '../../src/usable_cores.js';
import { gpuPlacement } from '../../test/parallel/two_placements.js';
import { Peer } from '../contenders.js';
import { Skipped } from './figures.js';
import type { Report } from './figures.js';
import { configurationFor, precisionsHere } from './settings.js';
import type { Settings } from './settings.js';

/** PyTorch's time of a step over ours. */
const LEAST_SPEEDUP = 1.5;

/** @throws Skipped without a Python that has PyTorch for CUDA */
export async function timePyTorch(settings: Settings, report: Report): Promise<void> {
  const { python } = settings;
  if (python === null) throw new Skipped('--python PYTHON, with PyTorch for CUDA, is not given');
  const program = 'import torch; assert torch.cuda.is_available(), "PyTorch finds no GPU"';
  const { status, stderr, error } = spawnSync(python, ['-c', program], { encoding: 'utf8' });
  if (status !== 0) {
    throw new Skipped(`${python}: ${error?.message ?? stderr.trim().split('\n').at(-1)}`);
  }
  // All of the largest batch first: should time run out, those with a target are there.
  for (const batch of settings.timedBatches) {
    for (const precision of precisionsHere(settings)) {
      await timeOne(settings, python, precision, batch, report);
    }
  }
}

async function timeOne(
  settings: Settings,
  python: string,
  precision: Precision,
  batch: number,
  report: Report,
): Promise<void> {
  const configuration = configurationFor(settings, batch, 1);
  const candidate = { name: 'dense', towers: 1, placement: gpuPlacement([[0]], [0]) } as const;
  const options = { backend: 'native', precision } as const;
  const peer = await Peer.open(python, configuration, usableCores(), precision, 'cuda');
  try {
    const noise = await noiseBatch(configuration);
    const ours = await TimedPlacement.open(candidate, configuration, options, noise);
    try {
      await ours.warmUp();
      await peer.warmUp();
      await takeTurns([ours, peer], settings.timedSteps);
    } finally {
      await ours.close();
    }
    const prefix = `${precision}, batch ${batch}`;
    const [own, theirs] = [ours, peer].map((one) => one.msPerStep().median) as [number, number];
    for (const [way, seconds] of Object.entries(peer.pytorch.tried)) {
      const isTimed = typeof seconds === 'number';
      const value = isTimed ? batch / seconds : seconds;
      const unit = isTimed ? { unit: 'images/s' } : {};
      report({ name: `${prefix}: PyTorch ${peer.pytorch.torch}, ${way}, alone`, value, ...unit });
    }
    const perSecond = (ms: number): number => (batch / ms) * 1000;
    report({ name: `${prefix}: twotower`, value: perSecond(own), unit: 'images/s' });
    const name = `${prefix}: PyTorch, ${peer.pytorch.chosen}`;
    report({ name, value: perSecond(theirs), unit: 'images/s' });
    const target = { atLeast: LEAST_SPEEDUP };
    report({ name: `${prefix}: twotower over PyTorch`, value: theirs / own, unit: '×', target });
  } finally {
    peer.close();
  }
}
