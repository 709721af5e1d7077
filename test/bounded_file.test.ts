import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { readSmallFile, readSmallText } from '../src/bounded_file.js';
import { loadConfiguration } from '../src/configuration.js';
import { temporaryFolder } from './runs/temporary.js';

suite('a small file', () => {
  test('is read whole up to the limit, and refused by its name one byte beyond', (context) => {
    const file = join(temporaryFolder(context), 'small');
    const bytes = Buffer.from(Array.from({ length: 150_000 }, (_, index) => index % 251));
    writeFileSync(file, bytes);
    assert.ok(readSmallFile(file, bytes.length).equals(bytes));
    assert.throws(() => readSmallFile(file, bytes.length - 1), {
      name: 'UserError',
      message: `cannot read ${file}: it is longer than 149999 bytes`,
    });
  });

  test('that never ends is refused: a device given as the configuration', () => {
    assert.throws(() => loadConfiguration({ file: '/dev/zero' }), {
      name: 'UserError',
      message: /\/dev\/zero: it is longer than/,
    });
  });
});

suite('a text that a user wrote', () => {
  const text = '{"é": 1}\r\n';

  for (const [name, bytes] of Object.entries({
    'UTF-8': Buffer.from(text),
    'UTF-8 with a byte-order mark': Buffer.from(`\ufeff${text}`),
    'UTF-16 with a byte-order mark': Buffer.from(`\ufeff${text}`, 'utf16le'),
  })) {
    test(`is read from ${name}`, (context) => {
      const file = join(temporaryFolder(context), 'text');
      writeFileSync(file, bytes);
      assert.equal(readSmallText(file, 1000), text);
    });
  }

  test('a configuration with a byte-order mark is loaded', (context) => {
    const file = join(temporaryFolder(context), 'config.json');
    const demo = loadConfiguration({ preset: 'demo' });
    writeFileSync(file, `\ufeff${JSON.stringify(demo)}`);
    assert.deepEqual(loadConfiguration({ file }), demo);
  });
});
