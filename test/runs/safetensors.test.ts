import assert from 'node:assert/strict';
import { readFileSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { UserError } from '../../src/errors.js';
import { fillNormal } from '../../src/random.js';
import {
  readSafetensors,
  readTensor,
  refuseNotFinite,
  writeSafetensors,
  type TensorMap,
} from '../../src/runs/safetensors.js';
import { temporaryFolder } from './temporary.js';

const GOLDEN = join(import.meta.dirname, '../../../test/golden/python.safetensors');

function someTensors(): TensorMap {
  const normal = (key: number, length: number) => {
    const data = new Float32Array(length);
    fillNormal([7, key], 0, 1, data);
    return data;
  };
  return new Map([
    ['conv1.weight', { shape: [4, 3, 2, 2], data: normal(1, 48) }],
    ['conv1.bias', { shape: [4], data: normal(2, 4) }],
    ['scalar', { shape: [], data: normal(3, 1) }],
    ['empty', { shape: [0, 3], data: normal(4, 0) }],
    ['fc1.weight', { shape: [5, 7], data: normal(5, 35) }],
  ]);
}

/** A file with this header text before `dataBytes` zero bytes. */
function fileOf(context: TestContext, header: string, dataBytes: number): string {
  const path = join(temporaryFolder(context), 'some.safetensors');
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  writeFileSync(path, bytes);
  return path;
}

function tensor(name: string, begin: number, end: number, shape = [(end - begin) / 4]): string {
  return `"${name}":${JSON.stringify({ dtype: 'F32', shape, data_offsets: [begin, end] })}`;
}

function assertRefused(path: string, problem: RegExp): void {
  assert.throws(
    () => readSafetensors(path),
    (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.ok(error.message.startsWith(path), error.message);
      assert.match(error.message, problem);
      return true;
    },
  );
}

suite('safetensors written and read', () => {
  test('names, shapes and values come back', (context) => {
    const path = join(temporaryFolder(context), 'model.safetensors');
    const tensors = someTensors();
    writeSafetensors(path, tensors);
    const read = readSafetensors(path);
    assert.deepEqual([...read.keys()].sort(), [...tensors.keys()].sort());
    for (const [name, { shape, data }] of tensors) {
      assert.deepEqual(read.get(name)?.shape, shape, name);
      assert.deepEqual([...read.get(name)!.data], [...data], name);
    }
  });

  test('a file of the Python library is read', () => {
    const read = readSafetensors(GOLDEN);
    assert.deepEqual([...read.keys()].sort(), ['conv1.bias', 'conv1.weight', 'empty', 'scalar']);
    assert.deepEqual(read.get('conv1.weight')!.shape, [2, 3, 2, 2]);
    assert.deepEqual(
      [...read.get('conv1.weight')!.data],
      Array.from({ length: 24 }, (_, index) => (index - 11.5) / 8),
    );
    assert.deepEqual([...read.get('conv1.bias')!.data], [0.5, -1.25]);
    assert.deepEqual(read.get('scalar')!, { shape: [], data: Float32Array.of(3.75) });
    assert.deepEqual(read.get('empty')!.shape, [0, 3]);
  });

  test('data lies in shared memory', () => {
    const { data } = readSafetensors(GOLDEN).get('conv1.weight')!;
    assert.ok(data.buffer instanceof SharedArrayBuffer);
  });

  test('data starts at a multiple of 8 bytes and metadata is kept', (context) => {
    const path = join(temporaryFolder(context), 'model.safetensors');
    writeSafetensors(path, someTensors(), { format: 'pt' });
    const bytes = readFileSync(path);
    const length = Number(bytes.readBigUInt64LE(0));
    assert.equal(length % 8, 0);
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<string, unknown>;
    assert.deepEqual(header['__metadata__'], { format: 'pt' });
  });

  test('a tensor over a part of a larger buffer is written as that part', (context) => {
    const path = join(temporaryFolder(context), 'model.safetensors');
    const whole = Float32Array.of(1, 2, 3, 4, 5);
    writeSafetensors(path, new Map([['part', { shape: [2], data: whole.subarray(2, 4) }]]));
    assert.deepEqual([...readSafetensors(path).get('part')!.data], [3, 4]);
  });

  test('a write that fails midway leaves the earlier file and nothing beside it', (context) => {
    const folder = temporaryFolder(context);
    const path = join(folder, 'model.safetensors');
    writeSafetensors(path, new Map([['kept', { shape: [1], data: Float32Array.of(1) }]]));
    assert.throws(() => writeSafetensors(path, failingAfterFirstTensor()), UserError);
    assert.deepEqual(readdirSync(folder), ['model.safetensors']);
    assert.deepEqual([...readSafetensors(path).keys()], ['kept']);
  });
});

/** Tensors whose second fails when its bytes are taken for writing, after the first's were written. */
function failingAfterFirstTensor(): TensorMap {
  let uses = 0;
  const second = {
    shape: [2],
    get data(): Float32Array {
      // The header is made from the first use; the second one is the write.
      if (++uses > 1) throw new Error('no space left on device');
      return Float32Array.of(1, 2);
    },
  };
  return new Map([
    ['first', { shape: [1], data: Float32Array.of(1) }],
    ['second', second],
  ]);
}

suite('one tensor of a safetensors file', () => {
  test('comes as it was written', (context) => {
    const path = join(temporaryFolder(context), 'model.safetensors');
    writeSafetensors(path, someTensors());
    assert.deepEqual(readTensor(path, 'conv1.bias')?.data, someTensors().get('conv1.bias')!.data);
    assert.equal(readTensor(path, 'conv9.bias'), undefined);
  });

  test('is read without the others, which may be larger than memory', (context) => {
    const bytes = 2 ** 43;
    const path = fileOf(context, `{${tensor('a', 0, 16)},${tensor('b', 16, bytes)}}`, 16);
    // The rest is a hole, which takes no space.
    truncateSync(path, readFileSync(path).length - 16 + bytes);
    assert.deepEqual(readTensor(path, 'a'), { shape: [4], data: new Float32Array(4) });
  });
});

suite('tensors that are not finite', () => {
  for (const value of [Number.NaN, Infinity, -Infinity]) {
    test(`are refused by name and place: ${value}`, () => {
      const tensors = someTensors();
      tensors.get('fc1.weight')!.data[34] = value;
      assert.throws(() => refuseNotFinite(tensors, 'some.safetensors'), {
        name: 'UserError',
        message: `some.safetensors: fc1.weight is not finite (${value} at [4, 6]): take parameters from before training diverged`,
      });
    });
  }

  test('are no others', () => {
    const tensors = someTensors();
    tensors.get('fc1.weight')!.data.set([3.4e38, -0, 1e-45]);
    assert.doesNotThrow(() => refuseNotFinite(tensors, 'some.safetensors'));
  });
});

suite('safetensors refused', () => {
  test('an absent file is named', (context) => {
    const path = join(temporaryFolder(context), 'absent.safetensors');
    assert.throws(() => readSafetensors(path), { name: 'UserError', message: /absent.*ENOENT/ });
  });

  test('fewer bytes than the header length takes', (context) => {
    const path = join(temporaryFolder(context), 'some.safetensors');
    writeFileSync(path, Uint8Array.of(1, 2, 3));
    assertRefused(path, /3 bytes are too few/);
  });

  test('a header that reaches past the file', (context) => {
    const path = join(temporaryFolder(context), 'some.safetensors');
    writeFileSync(path, new Uint8Array(40).fill(0xff));
    assertRefused(path, /reaches past the file's 40 bytes/);
  });

  const refused: [string, string, number, RegExp][] = [
    ['a header that is not JSON', '{"a":', 0, /not JSON/],
    ['a header that is not an object', '[]', 0, /not a JSON object/],
    ['metadata that is not strings', '{"__metadata__":{"a":1}}', 0, /__metadata__/],
    ['a tensor named __proto__', `{${tensor('__proto__', 0, 4)}}`, 4, /__proto__/],
    ['a tensor without description', '{"a":null}', 0, /tensor a/],
    [
      'another dtype',
      '{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}',
      4,
      /tensor a has dtype "F16"/,
    ],
    ['a negative length', `{${tensor('a', 0, 4, [-1])}}`, 4, /tensor a has no valid shape/],
    ['a fractional offset', `{${tensor('a', 0.5, 4.5, [1])}}`, 5, /a has no valid data_offsets/],
    ['a shape and offsets that disagree', `{${tensor('a', 0, 8, [3])}}`, 8, /needs 12 bytes.* 8/],
    ['data past the end', `{${tensor('a', 0, 8)}}`, 4, /tensor a ends at byte 8 of 4/],
    ['overlap', `{${tensor('a', 0, 8)},${tensor('b', 4, 12)}}`, 12, /tensor b overlaps/],
    ['a hole', `{${tensor('a', 0, 4)},${tensor('b', 8, 12)}}`, 12, /hole of 4 bytes before .* b/],
    ['bytes after the last tensor', `{${tensor('a', 0, 4)}}`, 7, /last 3 bytes/],
  ];
  for (const [name, header, dataBytes, problem] of refused) {
    test(name, (context) => assertRefused(fileOf(context, header, dataBytes), problem));
  }

  test('invalid UTF-8 in the header', (context) => {
    const path = fileOf(context, '{"ab":1}', 0);
    const bytes = readFileSync(path);
    bytes[10] = 0xff;
    writeFileSync(path, bytes);
    assertRefused(path, /not JSON/);
  });
});
