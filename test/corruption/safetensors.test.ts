import assert from 'node:assert/strict';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { fillNormal } from '../../src/random.js';
import {
  describeSafetensors,
  readSafetensors,
  writeSafetensors,
  type TensorMap,
} from '../../src/runs/safetensors.js';
import { temporaryFolder } from '../runs/temporary.js';
import { MUTATIONS, mutationsOf, refusalOf } from './mutations.js';

function someTensors(): TensorMap {
  const data = new Float32Array(96);
  fillNormal([3, 4], 0, 1, data);
  return new Map([
    ['conv1.weight', { shape: [4, 2, 3, 3], data: data.subarray(0, 72) }],
    ['conv1.bias', { shape: [4], data: data.subarray(72, 76) }],
    ['fc1.weight', { shape: [5, 4], data: data.subarray(76) }],
  ]);
}

/** The header without its metadata, by another way than the reader's. */
function descriptionIn(bytes: Buffer): unknown {
  const header = bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE(0)));
  const described = JSON.parse(header) as Record<string, unknown>;
  delete described['__metadata__'];
  return described;
}

function withHeader(header: string, dataBytes: number): Buffer {
  const json = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(dataBytes)]);
}

function fileWith(context: TestContext, bytes: Buffer): string {
  const path = join(temporaryFolder(context), 'some.safetensors');
  writeFileSync(path, bytes);
  return path;
}

const entry = (shape: number[], begin: number, end: number) =>
  JSON.stringify({ dtype: 'F32', shape, data_offsets: [begin, end] });

suite('a damaged safetensors file', () => {
  // The format has no checksum. So what is not silent is: refused by name, or what the network is checked
  // against (names, shapes, types) differs, or all that changed is values and metadata.
  test(`is refused or differs in values alone, after any of ${MUTATIONS} mutations`, (context) => {
    const file = fileWith(context, Buffer.alloc(0));
    writeSafetensors(file, someTensors(), { format: 'pt' });
    const original = readFileSync(file);
    const other = withHeader(`{"other":${entry([2], 0, 8)}}`, 8);
    let [refused, differing, values] = [0, 0, 0];
    for (const { name, bytes } of mutationsOf(original, other)) {
      writeFileSync(file, bytes);
      const refusal = refusalOf(() => readSafetensors(file), name);
      if (refusal !== undefined) {
        assert.ok(refusal.includes(file), `${name}: ${refusal}`);
        refused++;
        continue;
      }
      assert.equal(bytes.length === original.length || name.includes('another file'), true, name);
      const read = [...describeSafetensors(file)].map(([tensor, { shape }]) => [tensor, shape]);
      const written = [...someTensors()].map(([tensor, { shape }]) => [tensor, shape]);
      if (JSON.stringify(read) !== JSON.stringify(written)) differing++;
      else {
        assert.deepEqual(descriptionIn(bytes), descriptionIn(original), name);
        values++;
      }
    }
    context.diagnostic(
      `${MUTATIONS} mutations: ${refused} refused, ${differing} of other names or shapes, ${values} of other values`,
    );
  });

  const hostile: [string, Buffer, RegExp][] = [
    [
      'a header of 8 EiB',
      Buffer.concat([Buffer.alloc(7), Buffer.of(0x70), Buffer.alloc(100)]),
      /its header of \d+ bytes reaches past the file's 108 bytes/,
    ],
    [
      'a tensor of terabytes',
      withHeader(`{"w":${entry([2 ** 38], 0, 2 ** 40)}}`, 16),
      /tensor w ends at byte 1099511627776 of 16/,
    ],
    [
      'a shape whose product overflows',
      withHeader(`{"w":${entry([2 ** 40, 2 ** 40], 0, 16)}}`, 16),
      /tensor w \[.*\] needs .* bytes, its offsets give 16/,
    ],
    [
      'a shape of a thousand dimensions of none',
      withHeader(`{"w":${entry([...Array<number>(1000).fill(2 ** 52), 0], 0, 16)}}`, 16),
      /tensor w/,
    ],
    [
      'tensors that share their data',
      withHeader(`{"a":${entry([4], 0, 16)},"b":${entry([2], 8, 16)}}`, 16),
      /tensor b overlaps/,
    ],
    [
      'one tensor twice',
      withHeader(`{"w":${entry([4], 0, 16)},"w":${entry([2, 2], 0, 16)}}`, 16),
      /a tensor is there twice/,
    ],
    [
      'a tensor named __proto__',
      withHeader(`{"__proto__":${entry([4], 0, 16)}}`, 16),
      /may not be named __proto__/,
    ],
    [
      'a description with __proto__ in place of its fields',
      withHeader(`{"w":{"__proto__":${entry([4], 0, 16)}}}`, 16),
      /tensor w has/,
    ],
    ['brackets nested 100,000 deep', withHeader('['.repeat(100_000), 0), /not a valid safetensors/],
  ];
  for (const [name, bytes, problem] of hostile) {
    test(`is refused with ${name}`, (context) => {
      const file = fileWith(context, bytes);
      const refusal = refusalOf(() => readSafetensors(file), name);
      assert.ok(refusal?.includes(file), refusal);
      assert.match(refusal!, problem);
    });
  }

  test('with a hole for a tensor larger than memory is refused without reading it', (context) => {
    const bytes = 2 ** 43;
    const header = withHeader(`{"w":${entry([bytes / 4], 0, bytes)}}`, 0);
    const file = fileWith(context, header);
    truncateSync(file, header.length + bytes);
    const refusal = refusalOf(() => readSafetensors(file), 'a hole');
    assert.match(refusal!, /tensor w of 8796093022208 bytes does not fit into memory/);
  });
});
