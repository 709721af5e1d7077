/** A batch in parts is the same step as the whole batch. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { BACKEND_NAMES, prepareProcess, whyMissing } from '../../src/backend/backend.js';
import type { PartedBatch } from '../../src/parallel/accumulation.js';
import type { Coordinator } from '../../src/parallel/coordinator.js';
import type { SharedBatch } from '../../src/parallel/shared_batch.js';
import { requireFinite } from '../../src/parallel/step_outcome.js';
import type { StepResult } from '../../src/parallel/step_outcome.js';
import { BATCH, RULE, SEED, noiseBatchOf, withCoordinatorOn } from './two_placements.js';

prepareProcess();

const PARTS = 4;
const PIXELS = 31 * 31 * 3;

/** @param spoiled number of the part whose colours are NaN */
async function* inParts(batch: SharedBatch, spoiled?: number): AsyncGenerator<SharedBatch> {
  const count = BATCH / PARTS;
  for (let part = 0; part < PARTS; part++) {
    const first = part * count;
    const slice = (whole: SharedArrayBuffer, bytes: number) =>
      whole.slice(first * bytes, (first + count) * bytes);
    const colours = new SharedArrayBuffer(4 * 3 * count);
    if (part === spoiled) new Float32Array(colours).fill(NaN);
    const pixels = slice(batch.pixels, PIXELS);
    yield { pixels, labels: slice(batch.labels, 4), colours, count, first, of: BATCH };
    // The buffers belong to the next batch now.
    new Uint8Array(pixels).fill(0);
    await Promise.resolve();
  }
}

async function train(
  coordinator: Coordinator,
  parted: (batch: SharedBatch) => PartedBatch,
): Promise<{ results: StepResult[]; parameters: Record<string, Float32Array> }> {
  const results: StepResult[] = [];
  for (let step = 1; step <= 10; step++) {
    const batch = parted(noiseBatchOf(SEED, step));
    results.push(requireFinite(await coordinator.step(step, batch, RULE)));
  }
  return { results, parameters: await parametersOf(coordinator) };
}

async function parametersOf(coordinator: Coordinator): Promise<Record<string, Float32Array>> {
  const { parameters } = await coordinator.store();
  return Object.fromEntries(
    Object.entries(parameters).map(([name, buffer]) => [name, new Float32Array(buffer).slice()]),
  );
}

for (const backend of BACKEND_NAMES.filter((name) => whyMissing(name) === null)) {
  suite(`a batch in ${PARTS} parts on ${backend}`, () => {
    test('gives the losses and parameters of the whole, with dropout', async () => {
      const on = (parted: (batch: SharedBatch) => PartedBatch) =>
        withCoordinatorOn(backend, [[0], [1]], (coordinator) => train(coordinator, parted));
      const whole = await on((batch) => batch);
      const parted = await on((batch) => inParts(batch));
      for (const [step, { loss, accuracy }] of whole.results.entries()) {
        const other = parted.results[step]!;
        // Sums in another order, as between placements, carried on for ten steps.
        assert.ok(Math.abs(loss - other.loss) <= 1e-5 * loss, `${loss} and ${other.loss}`);
        assert.equal(other.accuracy, accuracy);
      }
      for (const [name, values] of Object.entries(whole.parameters)) {
        const other = parted.parameters[name]!;
        const difference = Math.hypot(...values.map((value, index) => value - other[index]!));
        assert.ok(difference <= 1e-5 * Math.hypot(...values), `${name}: ${difference}`);
      }
    });

    test('changes nothing if one part is not finite, and leaves nothing to the next step', async () => {
      await withCoordinatorOn(backend, [[0, 1]], async (coordinator) => {
        const before = await parametersOf(coordinator);
        const outcome = await coordinator.step(1, inParts(noiseBatchOf(SEED, 1), 2), RULE);
        assert.equal(outcome.finite, false);
        assert.deepEqual(await parametersOf(coordinator), before);
        const after = await train(coordinator, (batch) => batch);
        const straight = await withCoordinatorOn(backend, [[0, 1]], (fresh) =>
          train(fresh, (batch) => batch),
        );
        assert.deepEqual(after.parameters, straight.parameters);
      });
    });
  });
}
