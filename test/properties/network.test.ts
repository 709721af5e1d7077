import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { availableBackend, prepareProcess } from '../../src/backend/backend.js';
import { loadConfiguration, type Configuration } from '../../src/configuration.js';
import { UserError } from '../../src/errors.js';
import type { NetworkSpecification } from '../../src/model/layers.js';
import { buildNetwork, type Network } from '../../src/model/network.js';
import { Coordinator } from '../../src/parallel/coordinator.js';
import { loadParameters, tensorsIn } from '../../src/runs/tensors.js';
import { checkpointFiles } from '../../src/runs/checkpoint_folder.js';
import { writeCheckpoint } from '../../src/runs/checkpoint_writer.js';
import type { RunFolder } from '../../src/runs/layout.js';
import {
  BATCH,
  CLASSES,
  cpuPlacement,
  noiseBatchOf,
  RULE,
  smallConfiguration,
} from '../parallel/two_placements.js';
import { requestAt, someRun } from '../runs/some_run.js';
import { temporaryFolder } from '../runs/temporary.js';
import { networks } from './arbitrary_network.js';

prepareProcess();

/** Printed with every failure, and by fast-check the path to its smallest case. */
const SEED = 2012;
/** The ranks of each worker. */
const PLACEMENTS = [
  [[0], [1]],
  [[0], [1], [2], [3]],
  [
    [0, 1],
    [2, 3],
  ],
  [[0, 1, 2], [3]],
];
const DRAWN = 3;

function built(specification: NetworkSpecification, towers: number): Network | null {
  try {
    return buildNetwork(specification, towers, CLASSES);
  } catch (error) {
    assert.ok(error instanceof UserError, String((error as Error).stack));
    assert.match(error.message, /\b[a-z]+\d*\b/i);
    return null;
  }
}

suite('any layer list', () => {
  test('that the schema accepts is refused by a layer’s name or has consistent shapes, 300 drawn', (context) => {
    const file = join(temporaryFolder(context), 'drawn.json');
    let whole = 0;
    fc.assert(
      fc.property(networks, fc.constantFrom(1, 2, 4), (specification, towers) => {
        writeFileSync(
          file,
          JSON.stringify({ ...smallConfiguration(SEED, towers), network: specification }),
        );
        loadConfiguration({ file });
        const network = built(specification, towers);
        if (network === null) return;
        whole++;
        assertConsistent(network);
      }),
      { numRuns: 300, seed: SEED },
    );
    context.diagnostic(`seed ${SEED}: 300 layer lists, ${whole} of them networks`);
    assert.ok(whole > 100, `only ${whole} networks`);
  });

  for (const workers of PLACEMENTS) {
    const placed = JSON.stringify(workers);
    test(`trains a step on ${placed} and grouped with equal loss, and either’s checkpoint loads into the other, ${DRAWN} drawn`, async (context) => {
      const { backend } = availableBackend();
      const ranks = workers.flat();
      const towers = ranks.length;
      const drawn = networks.filter((specification) => built(specification, towers) !== null);
      await fc.assert(
        fc.asyncProperty(drawn, async (network) => {
          const run = someRun(context);
          const configuration: Configuration = { ...smallConfiguration(SEED, towers), network };
          const open = (placement: number[][]) =>
            Coordinator.open({
              configuration,
              towers,
              placement: cpuPlacement(placement),
              backend,
              batch: BATCH,
            });
          const [split, grouped] = await Promise.all([open(workers), open([ranks])]);
          try {
            await assertEqualStep(split, grouped, network, 1);
            await exchangeCheckpoint(split, grouped, run);
            await assertEqualStep(split, grouped, network, 2);
          } finally {
            await Promise.all([split.close(), grouped.close()]);
          }
        }),
        { numRuns: DRAWN, seed: SEED + towers, endOnFailure: true },
      );
      context.diagnostic(`${DRAWN} networks, 2 steps each on two placements`);
    });
  }
});

/** What each layer reads is what the one before it gives, and its weights are of that shape. */
function assertConsistent({ layers, parameters, towers, input, parameterCount }: Network): void {
  let before = input;
  for (const { name, input: seen, output, gathers, specification } of layers) {
    const channels = before.channels * (gathers ? towers : 1);
    assert.deepEqual(seen, { ...before, channels }, name);
    for (const length of Object.values(output))
      assert.ok(Number.isSafeInteger(length) && length > 0, name);
    const weight = parameters.find((parameter) => parameter.name === `${name}.weight`)?.shape;
    if (specification.type === 'conv') {
      const { kernels, size } = specification;
      assert.deepEqual(weight, [kernels, channels, size, size]);
      assert.equal(output.channels * towers, kernels);
    } else if (specification.type === 'fc') {
      assert.deepEqual(weight, [output.channels * towers, seen.height * seen.width * channels]);
    }
    before = output;
  }
  const total = parameters.reduce(
    (sum, { shape }) => sum + shape.reduce((product, length) => product * length, 1),
    0,
  );
  assert.equal(parameterCount, total);
}

/**
 * Float32 sums of up to n = 1,000 terms in another order differ by about √n·6e-8 = 2e-6 of the loss; the
 * second step carries the first one's on.
 */
const TOLERANCE = 1e-5;

async function assertEqualStep(
  split: Coordinator,
  grouped: Coordinator,
  { input }: NetworkSpecification,
  step: number,
): Promise<void> {
  const batch = noiseBatchOf(SEED, step, input);
  const [one, other] = await Promise.all([
    split.step(step, batch, RULE),
    grouped.step(step, batch, RULE),
  ]);
  assert.ok(one.finite && other.finite, `step ${step} is not finite`);
  const difference = Math.abs(one.loss - other.loss) / Math.abs(one.loss);
  assert.ok(difference <= TOLERANCE, `step ${step}: ${one.loss} split, ${other.loss} grouped`);
}

/** Each goes on from what the other had stored. */
async function exchangeCheckpoint(
  split: Coordinator,
  grouped: Coordinator,
  run: RunFolder,
): Promise<void> {
  const [ofSplit, ofGrouped] = await Promise.all(
    [split, grouped].map(async (coordinator, index) => {
      const { parameters, velocities } = await coordinator.store();
      return writeCheckpoint({
        ...requestAt(run, index + 1),
        tensors: {
          model: tensorsIn(coordinator.network, parameters),
          optimizer: tensorsIn(coordinator.network, velocities),
        },
      });
    }),
  );
  for (const [coordinator, path] of [
    [split, ofGrouped],
    [grouped, ofSplit],
  ] as const) {
    const { model, optimizer } = checkpointFiles(path!);
    await loadParameters(coordinator, model, optimizer);
  }
}
