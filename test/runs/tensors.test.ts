import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Network, Parameter } from '../../src/model/network.js';
import { checkAgainst } from '../../src/runs/tensors.js';
import { tensorsAt } from './some_run.js';

suite('parameters against a network', () => {
  const parameter = (name: string, shape: number[]): Parameter => ({
    name,
    layer: name.split('.')[0]!,
    shape,
    fanIn: 6,
    initialization: 0,
    learningRateMultiplier: 1,
    followsSchedule: true,
    weightDecayMultiplier: 1,
    hosts: 1,
  });
  const network: Network = {
    towers: 1,
    hosts: 1,
    classes: 2,
    input: { height: 1, width: 1, channels: 6 },
    layers: [],
    parameters: [parameter('conv1.weight', [2, 6]), parameter('conv1.bias', [2])],
    parameterCount: 14,
    macs: 12,
  };

  test('the same names and shapes pass', () => {
    assert.doesNotThrow(() => checkAgainst(network, tensorsAt(1).model, 'model'));
  });

  test('a missing parameter is named', () => {
    const tensors = tensorsAt(1).model;
    tensors.delete('conv1.bias');
    assert.throws(() => checkAgainst(network, tensors, 'runs/a/model'), {
      name: 'UserError',
      message: 'runs/a/model is a checkpoint of another network: it has no conv1.bias',
    });
  });

  test('a parameter too many is named', () => {
    const tensors = tensorsAt(1).model;
    tensors.set('conv2.bias', { shape: [1], data: Float32Array.of(1) });
    assert.throws(() => checkAgainst(network, tensors, 'model'), {
      message: /the network has no conv2\.bias/,
    });
  });

  test('both shapes of a parameter are named', () => {
    const tensors = tensorsAt(1).model;
    tensors.get('conv1.weight')!.shape = [6, 2];
    assert.throws(() => checkAgainst(network, tensors, 'model'), {
      message: /its conv1\.weight is \[6, 2\], the network's \[2, 6\]/,
    });
  });
});
