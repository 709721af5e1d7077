import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { renderPlan } from '../../src/commands/plan.js';
import { loadConfiguration, presetNames } from '../../src/configuration.js';
import { type Plan, planOf } from '../../src/library/plan.js';
import { buildNetwork, exchangedBytes } from '../../src/model/network.js';

const alexnet = planOf(loadConfiguration({ preset: 'alexnet-paper' }));

function column(plan: Plan, value: 'parameters' | 'parametersPerRank' | 'macs' | 'exchangedBytes') {
  return plan.layers.reduce((sum, layer) => sum + layer[value], 0);
}

describe('a plan', () => {
  test('totals the paper’s parameters, and half of them a rank', () => {
    assert.equal(alexnet.total.parameters, 60_965_224);
    assert.equal(alexnet.total.parametersPerRank, 30_482_612);
  });

  for (const value of ['parameters', 'parametersPerRank', 'macs', 'exchangedBytes'] as const) {
    test(`has layers whose ${value} add up to the total`, () => {
      assert.equal(column(alexnet, value), alexnet.total[value]);
    });
  }

  test('exchanges what the network says at the configured batch', () => {
    const configuration = loadConfiguration({
      preset: 'alexnet-paper',
      overrides: { towers: 4, training: { batch: 3 } },
    });
    const network = buildNetwork(configuration.network, 4, 1000);
    assert.equal(planOf(configuration).total.exchangedBytes, exchangedBytes(network, 3));
  });

  test('of one tower has no logits to gather', () => {
    const dense = planOf(loadConfiguration({ preset: 'cifar10-seed' }));
    assert.equal(dense.total.exchangedBytes, 0);
    assert.equal(dense.layers.at(-1)!.name, 'fc3');
  });

  test('states conv3 as the paper has it', () => {
    assert.deepEqual(
      alexnet.layers.find((layer) => layer.name === 'conv3'),
      {
        name: 'conv3',
        type: 'conv',
        kernels: 384,
        reads: 'all',
        output: { height: 13, width: 13, channels: 192 },
        parameters: 885_120,
        parametersPerRank: 442_560,
        macs: 149_520_384,
        // Two ranks, forward and backward, 128 images of 13 × 13 × 128 float32.
        exchangedBytes: 2 * 2 * 128 * 21_632 * 4,
      },
    );
  });
});

describe('between four hosts of 128 images each', () => {
  const plan = planOf(
    loadConfiguration({ preset: 'alexnet-paper', overrides: { training: { batch: 512 } } }),
    4,
  );
  const lines = renderPlan(plan, 80).split('\n');

  test('replicas sum all gradients: twice three quarters of the parameters', () => {
    const { traffic } = plan.hosts!.parallelisms[0]!;
    const reducedBytes = 1.5 * 4 * 60_965_224;
    assert.deepEqual(traffic, { exchangedBytes: 0, perFurtherWorkerBytes: 0, reducedBytes });
    assert.ok(lines.includes('replicas    366 MB: 0 exchanged, 366 of gradients'));
  });

  test('a hybrid gathers what the fully-connected layers read, and sums the gradients of the others', () => {
    const { traffic } = plan.hosts!.parallelisms[2]!;
    const convolutional = alexnet.layers
      .filter(({ type }) => type === 'conv')
      .reduce((sum, { parameters }) => sum + parameters, 0);
    assert.equal(traffic!.reducedBytes, 1.5 * 4 * convolutional);
    // The inputs of three layers and their gradients; the logits and the labels once.
    const values = 2 * (9216 + 4096 + 4096) + 1000 + 1;
    assert.equal(traffic!.exchangedBytes, 0.75 * 512 * values * 4);
    // Each worker has a term of its own of the inputs' gradients.
    assert.equal(traffic!.perFurtherWorkerBytes, 0.75 * 512 * (9216 + 4096 + 4096) * 4);
    assert.ok(lines.includes('            and 26.7 more for each further worker per host'));
    assert.ok(
      lines.some((line) => /^hybrid +69 MB: /.test(line)),
      lines.join('\n'),
    );
  });

  test('two towers are on two hosts, of two replicas', () => {
    const { traffic } = plan.hosts!.parallelisms[1]!;
    assert.equal(traffic!.reducedBytes, (4 * 60_965_224) / 2);
    // A host with one rank has one worker.
    assert.equal(lines.filter((line) => line.includes('each further worker')).length, 1);
  });

  test('each host has its ranks', () => {
    const ranks = plan.hosts!.parallelisms.map((one) => one.ranks!.map((own) => own.join('+')));
    assert.deepEqual(ranks, [
      ['0+1', '0+1', '0+1', '0+1'],
      ['0', '1', '0', '1'],
      ['0+1', '2+3', '4+5', '6+7'],
    ]);
    assert.ok(lines.includes('            ranks by host: 0+1, 2+3, 4+5, 6+7'), lines.join('\n'));
  });

  test('what cannot be divided is named', () => {
    const { parallelisms } = planOf(loadConfiguration({ preset: 'alexnet-paper' }), 3).hosts!;
    assert.equal(parallelisms[1]!.problem, '2 towers cannot be divided among 3 hosts');
    assert.match(
      parallelisms[2]!.problem!,
      /^layer fc1: 4096 units cannot be divided among 6 ranks/,
    );
  });
});

describe('the table', () => {
  for (const preset of presetNames()) {
    test(`of ${preset} fits 80 columns and names every layer`, () => {
      const plan = planOf(loadConfiguration({ preset }));
      const lines = renderPlan(plan, 80).split('\n');
      assert.ok(lines.some((line) => line.startsWith('layer ')));
      assert.ok(Math.max(...lines.map((line) => line.length)) <= 80);
      const names = new Set(lines.map((line) => line.split(' ')[0]));
      assert.deepEqual(
        plan.layers.filter((layer) => !names.has(layer.name)),
        [],
      );
    });
  }

  test('shows a layer’s costs on one line', () => {
    const line = renderPlan(alexnet, 80)
      .split('\n')
      .find((candidate) => candidate.startsWith('conv3'));
    assert.match(line!, /^conv3 +384 +all +13×13×192 +885,120 +442,560 +150 +44\.3$/);
  });

  test('becomes short lines where the terminal is narrow', () => {
    const lines = renderPlan(alexnet, 40).split('\n');
    assert.ok(lines.includes('  384 kernels, reads all'));
    const layers = lines.slice(2, -5);
    assert.ok(Math.max(...layers.map((line) => line.length)) <= 40);
  });
});

test('plan --json prints one object and nothing else', () => {
  const command = new URL('../../src/commands/plan.js', import.meta.url).href;
  const output = execFileSync(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `import yargs from 'yargs';
       import { command as plan } from '${command}';
       await yargs(['plan', '--preset', 'alexnet-paper', '--json']).command(plan).parseAsync();`,
    ],
    { encoding: 'utf8' },
  );
  assert.deepEqual(JSON.parse(output), alexnet);
});
