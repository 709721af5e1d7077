import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { loadConfiguration } from '../../src/configuration.js';
import { TINY } from '../commands/command_line.js';
import { temporaryFolder } from '../runs/temporary.js';
import { MUTATIONS, mutationsOf, refusalOf } from './mutations.js';

suite('a damaged configuration', () => {
  // A digit may become another: what is accepted is a valid recipe, which the run folder records. So what
  // is not silent is: refused by name, or accepted with exactly the fields that the schema knows.
  test(`is refused by its name or valid, after any of ${MUTATIONS} mutations`, (context) => {
    const file = join(temporaryFolder(context), 'some.json');
    const original = readFileSync(TINY);
    let refused = 0;
    for (const { name, bytes } of mutationsOf(original, Buffer.from('{"name": "other"}'))) {
      writeFileSync(file, bytes);
      const refusal = refusalOf(() => loadConfiguration({ file }), name);
      if (refusal === undefined) {
        const accepted = loadConfiguration({ file });
        writeFileSync(file, JSON.stringify(accepted));
        assert.deepEqual(loadConfiguration({ file }), accepted, name);
        assert.equal(
          refusalOf(() => JSON.parse(bytes.toString('utf8')), name),
          undefined,
        );
      } else {
        assert.ok(refusal.includes(file), `${name}: ${refusal}`);
        refused++;
      }
    }
    context.diagnostic(`${MUTATIONS} mutations: ${refused} refused, ${MUTATIONS - refused} valid`);
  });

  const hostile: [string, string][] = [
    ['__proto__ at the top', '{"__proto__": {"towers": 2}, '],
    ['constructor at the top', '{"constructor": {"prototype": {"towers": 2}}, '],
  ];
  for (const [name, start] of hostile) {
    test(`is refused with ${name}, and changes no other object`, (context) => {
      const file = join(temporaryFolder(context), 'some.json');
      writeFileSync(file, readFileSync(TINY, 'utf8').replace('{', start));
      const refusal = refusalOf(() => loadConfiguration({ file }), name);
      assert.match(refusal!, /some\.json: (__proto__|constructor) is not a field/);
      assert.equal(({} as { towers?: number }).towers, undefined);
    });
  }

  test('is refused with brackets nested 100,000 deep', (context) => {
    const file = join(temporaryFolder(context), 'some.json');
    writeFileSync(file, '['.repeat(100_000));
    assert.match(
      refusalOf(() => loadConfiguration({ file }), 'nested')!,
      /some\.json/,
    );
  });
});
