import assert from 'node:assert/strict';
import { test } from 'node:test';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { LocalNetwork } from '../../src/model/local_network.js';
import { readSafetensors } from '../../src/runs/safetensors.js';
import { goldenFile, goldenNetwork } from './golden_network.js';

for (const name of ['dense', 'grouped', 'local']) {
  test(`all towers in one thread compute PyTorch's logits of the ${name} network, and show no negative outputs`, async () => {
    await tf.setBackend('cpu');
    const tensors = readSafetensors(goldenFile(`${name}.safetensors`));
    const network = goldenNetwork(name);
    const local = new LocalNetwork(
      network,
      (parameter) => tensors.get(`parameter.${parameter}`)!.data,
    );
    const { shape, data } = tensors.get('input')!;
    const outputs = new Map<string, number>();
    const images = tf.tensor4d(data, shape as [number, number, number, number]);
    const logits = local.compute(images, (layer, rank, output) => {
      assert.equal(outputs.get(layer) ?? 0, rank);
      outputs.set(layer, rank + 1);
      assert.ok(tf.min(output).dataSync()[0]! >= 0, layer);
    });
    images.dispose();
    // Every layer that a ReLU follows, in each tower.
    const expected = network.layers.filter(({ specification }) => specification.type === 'relu');
    assert.equal(outputs.size, expected.length);
    for (const towers of outputs.values()) assert.equal(towers, network.towers);
    // float32 against float64, as in golden.test.ts.
    tensors.get('logits')!.data.forEach((logit, at) => {
      assert.ok(Math.abs(logits[at]! - logit) < 1e-4);
    });
  });
}
