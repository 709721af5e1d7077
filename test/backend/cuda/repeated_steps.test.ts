/** Steps that GPUs repeat as CUDA graphs against steps that are computed anew: the same bits. */
import './use_double.js';
import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { cudaIsPrepared } from '../../../src/backend/native/cuda_addon.js';
import type { Coordinator } from '../../../src/parallel/coordinator.js';
import { requireFinite } from '../../../src/parallel/step_outcome.js';
import {
  BATCH,
  gpuPlacement,
  noiseBatchOf,
  RULE,
  SEED,
  withCoordinatorOn,
} from '../../parallel/two_placements.js';

const skip = cudaIsPrepared() ? false : "the GPUs' addon is not built here";
const GRAPHS = 'TWOTOWER_CUDA_GRAPHS';

/** Where towers are, and how a worker repeats its steps: the network has seven exchanges, four of them forward. */
interface TestedPlacement {
  title: string;
  workers: number[][];
  gpus: number[];
  note: string;
}

const ONE_WORKER = {
  title: 'two towers of one worker',
  workers: [[0, 1]],
  gpus: [0],
  note: 'a CUDA graph',
};
const TWO_GPUS = {
  title: 'two workers on two GPUs',
  workers: [[0], [1]],
  gpus: [0, 1],
  note: '8 CUDA graphs',
};
const PLACEMENTS: TestedPlacement[] = [
  ONE_WORKER,
  TWO_GPUS,
  { ...TWO_GPUS, title: 'two workers on one GPU', gpus: [0, 0] },
  { ...TWO_GPUS, title: 'three workers', workers: [[0, 1], [2], [3]], gpus: [0, 1, 0] },
];

/** Runs `work` on a placement, with graphs and without. @returns both results */
async function both<Result>(
  { workers, gpus }: TestedPlacement,
  work: (coordinator: Coordinator) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (const when of ['never', 'always']) {
    process.env[GRAPHS] = when;
    const placement = gpuPlacement(workers, gpus);
    results.push(await withCoordinatorOn('native', workers, work, placement));
  }
  return results;
}

/** Takes the steps from `first` up to `end`. @returns loss, accuracy and exchanged bytes of each, and the notes */
async function take(coordinator: Coordinator, first: number, end: number, images = BATCH) {
  const taken: { loss: number; accuracy: number; bytes: number[] }[] = [];
  const notes = new Set<string>();
  for (let step = first; step < end; step++) {
    const batch = { ...noiseBatchOf(SEED, step), count: images };
    const { loss, accuracy, timings } = requireFinite(await coordinator.step(step, batch, RULE));
    taken.push({ loss, accuracy, bytes: timings.map(({ exchangeBytes }) => exchangeBytes) });
    timings.forEach((timing) => timing.notes?.forEach((note) => notes.add(note)));
  }
  return { taken, notes: [...notes] };
}

suite('steps that are repeated', { skip }, () => {
  after(() => delete process.env[GRAPHS]);

  for (const placement of PLACEMENTS) {
    test(`give the bits of steps that are computed anew, with dropout: ${placement.title}`, async () => {
      const [anew, repeated] = await both(placement, (coordinator) => take(coordinator, 1, 12));
      assert.deepEqual(repeated!.taken, anew!.taken);
      assert.deepEqual(anew!.notes, []);
      assert.deepEqual(repeated!.notes, [`each step is repeated as ${placement.note}`]);
    });
  }

  for (const placement of [ONE_WORKER, TWO_GPUS]) {
    const { title } = placement;
    test(`go on after tests, loaded parameters and batches of another size: ${title}`, async () => {
      const [anew, repeated] = await both(placement, async (coordinator) => {
        const before = await take(coordinator, 1, 7);
        const logits = await coordinator.logitsOf(noiseBatchOf(SEED, 100));
        await coordinator.load(await coordinator.store());
        const loaded = await take(coordinator, 7, 13);
        const halved = await take(coordinator, 13, 18, BATCH / 2);
        const later = await take(coordinator, 18, 24);
        const all = await coordinator.logitsOf(noiseBatchOf(SEED, 101));
        return { before, logits, loaded, halved, later, all };
      });
      for (const part of ['before', 'loaded', 'halved', 'later'] as const) {
        assert.deepEqual(repeated![part].taken, anew![part].taken, part);
        assert.equal(repeated![part].notes.length, 1, part);
      }
      assert.deepEqual(repeated!.logits, anew!.logits);
      assert.deepEqual(repeated!.all, anew!.all);
    });

    test(`are refused if a value is not finite, and leave the parameters as they were: ${title}`, async () => {
      const [anew, repeated] = await both(placement, async (coordinator) => {
        await take(coordinator, 1, 7);
        const rule = { ...RULE, learningRate: 1e30 };
        await coordinator.step(7, noiseBatchOf(SEED, 7), rule);
        const outcome = await coordinator.step(8, noiseBatchOf(SEED, 8), RULE);
        return { finite: outcome.finite, message: outcome.finite ? '' : outcome.error.message };
      });
      assert.equal(repeated!.finite, false);
      assert.deepEqual(repeated, anew);
    });
  }

  test('hold no more memory with every step', async () => {
    const [, repeated] = await both(TWO_GPUS, async (coordinator) => {
      await take(coordinator, 1, 8);
      const [early] = await coordinator.memory();
      await take(coordinator, 8, 30);
      const [late] = await coordinator.memory();
      return { early: early!, late: late! };
    });
    assert.deepEqual(repeated!.late, repeated!.early);
  });
});
