/** Training on GPUs from a batch ring: the same to the bit, however the batches come to the GPUs. */
import './use_double.js';
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { nativeIsPrepared } from '../../../src/backend/native/addon.js';
import { cudaIsPrepared } from '../../../src/backend/native/cuda_addon.js';
import type { ImageView } from '../../../src/configuration.js';
import { type Batch, BatchRing } from '../../../src/data/batches.js';
import type { Coordinator } from '../../../src/parallel/coordinator.js';
import type { SharedBatch } from '../../../src/parallel/shared_batch.js';
import { requireFinite } from '../../../src/parallel/step_outcome.js';
import { RECORD, recordsDataset } from '../../data/records.js';
import {
  BATCH,
  CLASSES,
  gpuPlacement,
  RULE,
  withCoordinatorOn,
} from '../../parallel/two_placements.js';

const skip = cudaIsPrepared() && nativeIsPrepared() ? false : 'the addons are not built here';

/** Batches of an epoch and of a test. */
const BATCHES = 3;

const rings: BatchRing[] = [];
after(() => Promise.all(rings.map((ring) => ring.close())));

function openRing(view: ImageView, leavesViews: boolean): BatchRing {
  const dataset = recordsDataset(BATCHES * BATCH, BATCHES * BATCH);
  for (const set of [dataset.train, dataset.test]) {
    if (set.kind !== 'cifar10') continue;
    const records = new Uint8Array(set.records);
    for (let index = 0; index < set.count; index++) records[index * RECORD] = index % CLASSES;
  }
  const statistics = {
    dataset: '',
    images: 1,
    height: 1,
    width: 1,
    mean: [0, 0, 0],
    covariance: [],
    meanImage: new Float32Array(3),
    eigenvalues: [900, 80, 20],
    eigenvectors: [
      [0.6, 0.6, 0.5],
      [0.7, 0, -0.7],
      [0.4, -0.8, 0.4],
    ],
  };
  const ring = new BatchRing({
    dataset,
    data: { view, flip: true, colour: { deviation: 0.5, scale: 'standardDeviation', until: null } },
    statistics,
    height: 31,
    width: 31,
    batch: BATCH,
    seed: 3,
    decoders: 1,
    slots: 3,
    leavesViews,
  });
  rings.push(ring);
  return ring;
}

/**
 * Trains an epoch on two GPUs, and tests.
 *
 * @param given what the coordinator gets of a batch of the ring
 * @returns the losses and the logits
 */
async function trained(
  ring: BatchRing,
  given: (batch: Batch) => SharedBatch | Promise<SharedBatch> = (batch) => batch,
): Promise<number[]> {
  const work = async (coordinator: Coordinator): Promise<number[]> => {
    const numbers: number[] = [];
    for (let index = 0; index < BATCHES; index++) {
      const batch = await ring.batchAt({ epoch: 0, batch: index });
      const outcome = await coordinator.step(index + 1, await given(batch), RULE);
      numbers.push(requireFinite(outcome).loss);
      batch.release();
    }
    for await (const batch of ring.test()) {
      numbers.push(...(await coordinator.logitsOf(await given(batch))));
      batch.release();
    }
    return numbers;
  };
  return withCoordinatorOn('native', [[0], [1]], work, gpuPlacement([[0], [1]], [0, 1]));
}

for (const view of [
  { type: 'pad', pixels: 4 },
  { type: 'crop', from: 36 },
] as const) {
  test(`training with ${view.type} computes the same, whoever cuts`, { skip }, async () => {
    assert.deepEqual(await trained(openRing(view, true)), await trained(openRing(view, false)));
  });
}

test(
  'training computes the same, whether batches are uploaded early or not',
  { skip },
  async () => {
    const onceTheNextIsDecoded = async (batch: Batch) => {
      while (batch.index + 1 < BATCHES && batch.next() === undefined) await nextTurn();
      return batch;
    };
    const notEarly = ({ pixels, labels, colours, views, count }: Batch) => {
      return { pixels, labels, colours, views, count };
    };
    const ring = () => openRing({ type: 'resize' }, true);
    assert.deepEqual(await trained(ring(), onceTheNextIsDecoded), await trained(ring(), notEarly));
  },
);
