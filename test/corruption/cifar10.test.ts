import assert from 'node:assert/strict';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { openCifar10 } from '../../src/data/cifar10.js';
import { writeTinyImages } from '../commands/command_line.js';
import { RECORD } from '../data/records.js';
import { temporaryFolder } from '../runs/temporary.js';
import { MUTATIONS, messageOfRefusal, mutationsOf } from './mutations.js';

suite('a damaged CIFAR-10 file', () => {
  // The format is records without checksums. So what is not silent is: refused by name, or whole records
  // whose labels are classes, of which some have other pixels or another class.
  test(`is refused by its name or still whole records, after any of ${MUTATIONS} mutations`, async (context) => {
    const folder = writeTinyImages(temporaryFolder(context));
    const file = join(folder, 'data_batch_3.bin');
    const original = readFileSync(file);
    const before = (await openCifar10(folder)).train;
    let refused = 0;
    for (const { name, bytes } of mutationsOf(original, Buffer.from('a file of another kind'))) {
      writeFileSync(file, bytes);
      const opened = await openCifar10(folder).catch((error: unknown) => {
        const refusal = messageOfRefusal(error, name);
        assert.ok(refusal.includes(file), `${name}: ${refusal}`);
      });
      if (opened === undefined) {
        refused++;
        continue;
      }
      const whole = bytes.length / RECORD;
      assert.equal(opened.train.count, before.count - original.length / RECORD + whole, name);
      for (let record = 0; record < whole; record++) {
        assert.ok(bytes[record * RECORD]! < 10, name);
      }
    }
    context.diagnostic(
      `${MUTATIONS} mutations: ${refused} refused, ${MUTATIONS - refused} whole records of other pixels or labels`,
    );
  });

  test('that has grown to a terabyte is refused without reading it', async (context) => {
    const folder = writeTinyImages(temporaryFolder(context));
    const file = join(folder, 'test_batch.bin');
    truncateSync(file, RECORD * 2 ** 29);
    const refusal = await openCifar10(folder).then(
      () => undefined,
      (error: unknown) => messageOfRefusal(error, 'grown'),
    );
    assert.match(refusal!, /test_batch\.bin/);
  });

  for (const names of ['', 'only one\n', 'a\nb\n'.repeat(200)]) {
    test(`with ${names.split('\n').length - 1} class names is refused by the number of classes`, async (context) => {
      const folder = writeTinyImages(temporaryFolder(context));
      writeFileSync(join(folder, 'batches.meta.txt'), names);
      const { classes } = await openCifar10(folder).catch((error: unknown) => {
        messageOfRefusal(error, 'names');
        return { classes: [] };
      });
      assert.notEqual(classes.length, 10);
    });
  }
});
