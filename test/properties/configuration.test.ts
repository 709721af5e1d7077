import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { loadConfiguration } from '../../src/configuration.js';
import { TINY } from '../commands/command_line.js';
import { refusalOf } from '../corruption/mutations.js';
import { temporaryFolder } from '../runs/temporary.js';

const SEED = 2012;
const RUNS = 1000;

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** Dotted paths of every field, containers too. */
function pathsIn(value: Json, path: string[] = []): string[][] {
  const here = path.length === 0 ? [] : [path];
  if (typeof value !== 'object' || value === null) return here;
  return [
    ...here,
    ...Object.entries(value).flatMap(([name, part]) => pathsIn(part, [...path, name])),
  ];
}

/** `value` with the field at the path set, or removed where `part` is undefined. */
function changed(value: Json, [name, ...rest]: string[], part: Json | undefined): Json {
  const container = value as Record<string, Json>;
  if (rest.length > 0) {
    const inner = changed(container[name!]!, rest, part);
    return Array.isArray(value)
      ? value.with(Number(name), inner)
      : { ...container, [name!]: inner };
  }
  if (Array.isArray(value)) {
    return part === undefined ? value.toSpliced(Number(name), 1) : value.with(Number(name), part);
  }
  const kept = Object.entries(container).filter(([other]) => other !== name);
  return Object.fromEntries(part === undefined ? kept : [...kept, [name!, part]]);
}

test(`any configuration with one field replaced, removed or added is accepted or refused with that field’s name, ${RUNS} drawn`, (context) => {
  const tiny = JSON.parse(readFileSync(TINY, 'utf8')) as Json;
  const paths = pathsIn(tiny);
  const file = join(temporaryFolder(context), 'drawn.json');
  const values = fc.option(fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>, { nil: undefined });
  const places = fc.oneof(
    fc.constantFrom(...paths),
    // Beside a field, one that is not there.
    fc.constantFrom(...paths).map((path) => [...path.slice(0, -1), 'unheardOf']),
    fc.constant<string[]>(['__proto__']),
  );
  let refused = 0;
  fc.assert(
    fc.property(places, values, (path, value) => {
      fc.pre(!(path.at(-1) === 'unheardOf' && Array.isArray(partAt(tiny, path.slice(0, -1)))));
      writeFileSync(file, JSON.stringify(changed(tiny, path, value)));
      const refusal = refusalOf(() => loadConfiguration({ file }), path.join('.'));
      if (refusal === undefined) return;
      refused++;
      const field = new RegExp('drawn\\.json: (\\S+) ').exec(refusal)?.[1];
      const dotted = path.join('.');
      // A container's replacement is wrong in a part of it, a part's in the container that allows it.
      const related =
        field !== undefined &&
        (`${dotted}.`.startsWith(`${field}.`) || field.startsWith(`${dotted}.`));
      assert.ok(related || isSibling(field, path), `${dotted}: ${refusal}`);
    }),
    { numRuns: RUNS, seed: SEED },
  );
  context.diagnostic(`seed ${SEED}: ${RUNS} configurations, ${refused} refused by a field's name`);
});

function partAt(value: Json, path: string[]): Json {
  return path.reduce((part, name) => (part as Record<string, Json>)[name]!, value);
}

/** A changed `type` makes the fields beside it wrong, or miss. */
function isSibling(field: string | undefined, path: string[]): boolean {
  return path.at(-1) === 'type' && field?.startsWith(path.slice(0, -1).join('.')) === true;
}
