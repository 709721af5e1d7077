import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { goldenFile, goldenOnnx } from './golden_network.js';

const recorded = JSON.parse(readFileSync(goldenFile('onnx.json'), 'utf8')) as Record<
  string,
  string
>;

for (const name of ['dense', 'grouped']) {
  test(`the ${name} network's model is, byte for byte, the one that ONNX Runtime ran as PyTorch did`, () => {
    assert.equal(createHash('sha256').update(goldenOnnx(name)).digest('hex'), recorded[name]);
  });
}

test('a layer that ONNX has no operator for is refused by its name', () => {
  assert.throws(() => goldenOnnx('local'), /layer rnorm1: ONNX export does not support its type/);
});
