import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import * as twotower from 'twotower';

const COMMANDS = fileURLToPath(new URL('../../../src/commands/', import.meta.url));

/** `import { a, b } from '../x.js'`, not `import type`, over any number of lines. */
const IMPORTS = /^import \{([^}]*)\} from '\.\.\/([^']+)';/gm;

/** What a command prints with, and how its process ends, are no part of what it does. */
const PRINTING_AND_ENDING = /^(report\/|errors\.js$|backend\/process_end\.js$)/;

test('the commands do nothing that the package does not export', () => {
  const exported = new Set(Object.keys(twotower));
  const others = readdirSync(COMMANDS).flatMap((file) =>
    [...readFileSync(`${COMMANDS}${file}`, 'utf8').matchAll(IMPORTS)]
      .filter(([, , module]) => !PRINTING_AND_ENDING.test(module!))
      .flatMap(([, names]) => names!.split(',').map((name) => name.trim()))
      .filter((name) => name !== '' && !name.startsWith('type ') && !exported.has(name))
      .map((name) => `${file}: ${name}`),
  );
  assert.deepEqual(others, []);
});
