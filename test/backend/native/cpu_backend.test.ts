import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import { registerNative } from '../../../src/backend/native/native.js';
import type { CpuBackend } from '../../../src/backend/native/cpu_backend.js';

before(async () => {
  registerNative(1);
  await tf.setBackend('native');
});

function backend(): CpuBackend {
  return tf.backend() as CpuBackend;
}

/** A tensor in pooled memory. */
function pooled(values: number[], shape = [values.length]): tf.Tensor {
  const memory = backend().allocate(shape);
  memory.set(values);
  return tf.engine().makeTensorFromTensorInfo(backend().makeTensorInfo(shape, 'float32', memory));
}

test('a disposed tensor’s memory is used for the next one of its size', () => {
  const first = pooled([1, 2, 3]);
  const { buffer } = backend().float32(first)!;
  first.dispose();
  const second = pooled([4, 5, 6]);
  assert.equal(backend().float32(second)!.buffer, buffer);
  second.dispose();
});

test('what dataSync returned stays when the tensor’s memory is reused', () => {
  const first = pooled([1, 2, 3]);
  const kept = first.dataSync();
  first.dispose();
  const second = pooled([4, 5, 6]);
  assert.deepEqual([...kept], [1, 2, 3]);
  second.dispose();
});

test('what data() returned stays when the tensor’s memory is reused', async () => {
  const first = pooled([1, 2, 3]);
  const kept = await first.data();
  first.dispose();
  const second = pooled([4, 5, 6]);
  assert.deepEqual([...kept], [1, 2, 3]);
  second.dispose();
});

test('writing to what dataSync returned does not change the tensor', () => {
  const tensor = pooled([1, 2, 3]);
  tensor.dataSync()[0] = 9;
  assert.deepEqual([...tensor.dataSync()], [1, 2, 3]);
  tensor.dispose();
});

test('a user’s array is used where it lies and is never reused', () => {
  const array = new Float32Array([1, 2, 3]);
  const tensor = tf.tensor1d(array);
  assert.equal(backend().float32(tensor), array);
  tensor.dispose();
  const next = pooled([4, 5, 6]);
  assert.deepEqual([...array], [1, 2, 3]);
  next.dispose();
});

for (const [name, view] of Object.entries<(x: tf.Tensor) => tf.Tensor>({
  reshape: (x) => tf.reshape(x, [2, 2]),
  clone: (x) => tf.clone(x),
  slice: (x) => tf.slice(x, [1], [2]),
  'the real part of a complex tensor': (x) => tf.tidy(() => tf.real(tf.complex(x, x))),
})) {
  test(`the values of ${name} stay when the tensor that it came from is disposed`, () => {
    const source = pooled([1, 2, 3, 4]);
    const derived = view(source);
    const expected = [...derived.dataSync()];
    source.dispose();
    const others = [pooled([9, 9, 9, 9]), pooled([9, 9, 9, 9])];
    assert.deepEqual([...derived.dataSync()], expected);
    tf.dispose([derived, ...others]);
  });
}

test('a complex tensor’s parts go back to the pool with it', () => {
  const before = backend().memory().bytesInUse;
  const real = pooled([1, 2, 3, 4]);
  const complex = tf.complex(real, real);
  real.dispose();
  assert.ok(backend().memory().bytesInUse > before);
  complex.dispose();
  assert.equal(backend().memory().bytesInUse, before);
});

test('a tensor moved to another backend and back keeps its values', async () => {
  const tensor = pooled([1, 2, 3, 4]);
  await tf.setBackend('cpu');
  assert.deepEqual([...tf.add(tensor, 1).dataSync()], [2, 3, 4, 5]);
  await tf.setBackend('native');
  assert.deepEqual([...tf.add(tensor, 2).dataSync()], [3, 4, 5, 6]);
  tensor.dispose();
});

test('memory is accounted for exactly', () => {
  const start = tf.memory();
  const tensor = pooled([1, 2, 3]);
  const held = tf.memory();
  assert.notEqual(held.unreliable, true);
  assert.equal(held.numBytes - start.numBytes, 12);
  assert.equal(held.numDataBuffers - start.numDataBuffers, 1);
  tensor.dispose();
  assert.equal(tf.memory().numBytes, start.numBytes);
});

test('a tensor larger than any memory is an error with the kernel’s name, and the next one is made', () => {
  assert.throws(() => tf.fill([2 ** 30, 2 ** 20], 1), /^RangeError: Fill: /);
  assert.deepEqual([...tf.fill([2], 1).dataSync()], [1, 1]);
});

test('a disposed tensor is an error that names the kernel and the input', () => {
  const gone = pooled([1, 2]);
  gone.dispose();
  assert.throws(() => tf.neg(gone), /^Error: Neg: x is disposed/);
});
