import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BufferPool, type Memory } from '../../../src/backend/native/buffer_pool.js';

const MEMORY: Memory<ArrayBuffer> = {
  make: (bytes) => new ArrayBuffer(bytes),
  bytesOf: ({ byteLength }) => byteLength,
};

/** A buffer of the pool with one owner. */
function owned(pool: BufferPool<ArrayBuffer>, bytes: number): ArrayBuffer {
  const buffer = pool.take(bytes);
  pool.retain(buffer);
  return buffer;
}

test('a buffer comes back for the same size after its only owner releases it', () => {
  const pool = new BufferPool(MEMORY);
  const first = owned(pool, 1000);
  pool.release(first);
  assert.equal(owned(pool, 1000), first);
});

test('a buffer with two owners is not given again before both release it', () => {
  const pool = new BufferPool(MEMORY);
  const shared = owned(pool, 1000);
  pool.retain(shared);
  pool.release(shared);
  assert.notEqual(owned(pool, 1000), shared);
  pool.release(shared);
  assert.equal(owned(pool, 1000), shared);
});

test('a buffer holds what was asked for, with at most an eighth more from 512 bytes on', () => {
  const pool = new BufferPool(MEMORY);
  for (const bytes of [0, 1, 64, 65, 512, 513, 1000, 4096, 4097, 123_457, 2 ** 26 + 1]) {
    const { byteLength } = pool.take(bytes);
    assert.ok(byteLength >= bytes, `${byteLength} for ${bytes}`);
    if (bytes >= 512) assert.ok(byteLength <= bytes * (1 + 1 / 8), `${byteLength} for ${bytes}`);
  }
});

test('buffers in use and waiting stay within one and a half times the most in use at once', () => {
  const pool = new BufferPool(MEMORY);
  for (let size = 1024; size <= 2 ** 20; size += 1024) {
    const pair = [owned(pool, size), owned(pool, size)];
    pair.forEach((buffer) => pool.release(buffer));
    const { inUse, waiting } = pool.bytes;
    // A class is at most an eighth larger than what was asked for.
    const most = 1.5 * 2 * size * (1 + 1 / 8);
    assert.ok(inUse + waiting <= most, `${inUse + waiting} at ${size}`);
  }
});

test('a step that repeats takes no new memory', () => {
  const pool = new BufferPool(MEMORY);
  const step = (): ArrayBuffer[] => {
    const buffers = [4096, 100, 9000, 4096, 700].map((bytes) => owned(pool, bytes));
    buffers.forEach((buffer) => pool.release(buffer));
    return buffers;
  };
  const first = new Set(step());
  assert.ok(step().every((buffer) => first.has(buffer)));
});

test('memory that is not of the pool is left alone', () => {
  const pool = new BufferPool(MEMORY);
  const foreign = new ArrayBuffer(4096);
  pool.retain(foreign);
  pool.release(foreign);
  assert.notEqual(pool.take(4096), foreign);
  assert.equal(pool.ownersOf(foreign), 0);
});

test('a dropped buffer is given back to the memory it came from', () => {
  const freed: number[] = [];
  const pool = new BufferPool({ ...MEMORY, free: ({ byteLength }) => freed.push(byteLength) });
  pool.release(owned(pool, 4096));
  owned(pool, 128);
  assert.deepEqual(freed, []);
  pool.freeWaiting();
  assert.deepEqual(freed, [4096]);
  assert.deepEqual(pool.bytes, { inUse: 128, waiting: 0 });
});
