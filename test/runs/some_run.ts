/** Runs, states and tensors of a few bytes, for the tests of what a run keeps. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Configuration } from '../../src/configuration.js';
import { fillNormal } from '../../src/random.js';
import type { CheckpointState } from '../../src/runs/checkpoint_state.js';
import { writeCheckpoint } from '../../src/runs/checkpoint_writer.js';
import type { CheckpointTensors, WriteRequest } from '../../src/runs/checkpoint_writer.js';
import { openRunFolder, type RunFolder } from '../../src/runs/layout.js';
import type { TestEvent, TrainEvent } from '../../src/runs/metrics.js';
import { INITIAL_PROGRESS, type Progress } from '../../src/runs/progress.js';
import { readSafetensors, type TensorMap } from '../../src/runs/safetensors.js';
import type { StoredCheckpoint } from '../../src/runs/checkpoint_reader.js';
import type { Summary } from '../../src/runs/summary.js';
import { temporaryFolder } from './temporary.js';

export const CONFIGURATION: Configuration = {
  name: 'tiny',
  comment: 'for tests',
  towers: 2,
  network: { input: { height: 8, width: 8, channels: 3 }, layers: [] },
  data: {
    source: 'generated',
    directory: null,
    classes: 10,
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
    view: { type: 'resize' },
    colour: null,
    flip: false,
  },
  training: {
    batch: 8,
    epochs: 1,
    steps: null,
    learningRate: 0.01,
    momentum: 0.9,
    weightDecay: 0,
    schedule: { type: 'constant' },
    seed: 3,
  },
  test: { crops: 1, dropout: false },
};

/** What a run that was completed says at its end. */
export const SUMMARY: Summary = {
  status: 'completed',
  epochs: 1,
  steps: 4,
  skipped: 0,
  restarts: 0,
  wallSeconds: 12.5,
  imagesPerSecond: 31.5,
  parameters: 1234,
  test: { loss: 2.1, top1: 0.25, top5: 0.75 },
  placement: [{ rank: 0, device: 'cpu', requested: 'gpu:0' }],
  backend: 'tensorflow',
  warnings: ['no GPU is usable: gpu:0 is carried out on the CPU'],
  undecodable: [],
};

/** A run folder with nothing but a configuration, and a lock that no timer touches. */
export function someRun(context: TestContext): RunFolder {
  const run = newRunFolder(temporaryFolder(context), CONFIGURATION);
  writeFileSync(join(run.path, 'lock'), 'ours');
  return run;
}

/** A run folder with nothing but a configuration. */
export function newRunFolder(path: string, configuration: Configuration): RunFolder {
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'config.json'), JSON.stringify(configuration));
  return openRunFolder(path);
}

/** @param changes of the progress; `tested` makes it a tested step */
export function stateAt(
  step: number,
  { isTested = false, ...changes }: Partial<Progress> & { isTested?: boolean } = {},
): CheckpointState {
  const lastTest = isTested ? { step, loss: 2.1, top1: 0.25, top5: 0.75 } : null;
  return {
    progress: { ...INITIAL_PROGRESS, step, epoch: 2, batch: 5, lastTest, ...changes },
    seed: 17,
    towers: 2,
    datasetName: 'generated',
    classes: ['cat', 'dog'],
    batch: 64,
    trainingImages: 512,
    precision: 'float32',
    algorithms: [{ layer: 'conv1', pass: 'forward', algorithm: 'fft', transformSize: 14 }],
  };
}

/** Tensors of which each step has its own values. */
export function tensorsAt(step: number): CheckpointTensors {
  return { model: tensorMap(step, 1), optimizer: tensorMap(step, 2) };
}

function tensorMap(step: number, part: number): TensorMap {
  const data = new Float32Array(new SharedArrayBuffer(56));
  fillNormal([step, part], 0, 1, data);
  return new Map([
    ['conv1.weight', { shape: [2, 6], data: data.subarray(0, 12) }],
    ['conv1.bias', { shape: [2], data: data.subarray(12) }],
  ]);
}

export function requestAt(
  run: RunFolder,
  step: number,
  changes: Parameters<typeof stateAt>[1] = {},
): WriteRequest {
  return {
    run,
    lock: { folder: run.path, text: readFileSync(join(run.path, 'lock'), 'utf8') },
    state: stateAt(step, changes),
    metricsBytes: 0,
    tensors: tensorsAt(step),
  };
}

/** Writes a checkpoint in this thread. */
export function save(
  run: RunFolder,
  step: number,
  changes: Parameters<typeof stateAt>[1] = {},
): string {
  return writeCheckpoint(requestAt(run, step, changes));
}

export function valuesOf(tensors: TensorMap): [string, number[], number[]][] {
  return [...tensors].map(([name, { shape, data }]) => [name, shape, [...data]]);
}

export function readTensors({ files }: Pick<StoredCheckpoint, 'files'>): CheckpointTensors {
  return { model: readSafetensors(files.model), optimizer: readSafetensors(files.optimizer) };
}

export function trainEvent(step: number): TrainEvent {
  return {
    event: 'train',
    step,
    epoch: 0,
    loss: 2.3 - step / 100,
    accuracy: 0.1,
    learningRate: 0.01,
    imagesPerSecond: 31.5,
    stepMs: 254,
    dataWaitMs: 5,
    forwardMs: 80,
    backwardMs: 160,
    exchangeMs: 3.5,
    exchangeWaitMs: 2.5,
    updateMs: 8,
    exchangeBytes: 4096,
  };
}

export function testEvent(step: number): TestEvent {
  return { event: 'test', step, epoch: 0, loss: 2.1, top1: 0.25, top5: 0.75 };
}
