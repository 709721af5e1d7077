import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { problemOf } from '../../scripts/node_version.mjs';

const NEEDED = '^20.19 || ^22.13 || ^24';

for (const version of ['12.22.12', '18.20.8', '20.18.3', '21.7.3', '22.12.0', '23.11.1']) {
  test(`Node ${version} is refused in one line that names those that do`, () => {
    assert.equal(
      problemOf(version, NEEDED),
      `Node ${version} is too old: install Node 20 (20.19 or later), 22 (22.13 or later) or 24`,
    );
  });
}

for (const version of [
  '20.19.0',
  '22.13.1',
  '22.20.0',
  '24.0.0',
  '25.1.0',
  process.versions.node,
]) {
  test(`Node ${version} is taken`, () => assert.equal(problemOf(version, NEEDED), null));
}

for (const program of ['twotower', 'setup']) {
  test(`${program}.mjs imports nothing but the check of Node before that`, () => {
    const text = readFileSync(new URL(`../../scripts/${program}.mjs`, import.meta.url), 'utf8');
    const imports = [...text.matchAll(/^import .*$/gm)].map(([line]) => line);
    assert.deepEqual(
      imports.filter((line) => !line.startsWith('import(')),
      ["import { refuseOldNode } from './node_version.mjs';"],
    );
    assert.doesNotMatch(text, /^await /m);
  });
}
