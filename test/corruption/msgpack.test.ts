import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { pack, unpack } from 'msgpackr';
import { readState, stateBytes } from '../../src/runs/checkpoint_state.js';
import { stateAt } from '../runs/some_run.js';
import { temporaryFolder } from '../runs/temporary.js';
import { refusalOf } from './mutations.js';

/** The state's fields as a msgpack map of 16-bit length, after those of `first`. */
function stateAfter(first: Buffer[]): Buffer {
  const fields = Object.entries(unpack(stateBytes(stateAt(1), 0)) as Record<string, unknown>);
  const length = Buffer.from([0xde, 0, fields.length + first.length / 2]);
  return Buffer.concat([length, ...first, ...fields.flat().map((part) => pack(part))]);
}

suite('a hostile state.msgpack', () => {
  test('with __proto__ gives no object another prototype', (context) => {
    const file = join(temporaryFolder(context), 'state.msgpack');
    writeFileSync(file, stateAfter([pack('__proto__'), pack({ stolen: true })]));
    const state = readState(file) as unknown as Record<string, unknown>;
    assert.equal(Object.getPrototypeOf(state), Object.prototype);
    assert.equal(state['stolen'], undefined);
    assert.equal(({} as Record<string, unknown>)['stolen'], undefined);
  });

  const refused: [string, Buffer][] = [
    ['an array of four thousand million', Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff])],
    ['a map of four thousand million', Buffer.from([0xdf, 0xff, 0xff, 0xff, 0xff])],
    ['a string of four gigabytes', Buffer.from([0xdb, 0xff, 0xff, 0xff, 0xff, 0x61])],
    ['bytes of four gigabytes', Buffer.from([0xc6, 0xff, 0xff, 0xff, 0xff, 0])],
    ['arrays nested 500,000 deep', Buffer.alloc(500_000, 0x91)],
    ['more than 16 megabytes', Buffer.alloc((1 << 24) + 1, 0xc0)],
    ['an error of any class', Buffer.from([0xc7, 5, 0x65, 0x92, 0xa1, 0x78, 0xa1, 0x79])],
  ];
  for (const [name, bytes] of refused) {
    test(`is refused with ${name}`, (context) => {
      const file = join(temporaryFolder(context), 'state.msgpack');
      writeFileSync(file, bytes);
      assert.ok(refusalOf(() => readState(file), name)?.includes(file));
    });
  }
});
