import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import {
  choice,
  flag,
  path,
  paths,
  port,
  share,
  texts,
  wholeNumber,
} from '../../src/commands/option_kinds.js';
import { parsed, wordsOf } from '../../src/commands/option_table.js';
import type { Given, Option } from '../../src/commands/option_table.js';
import { checkpointChoice } from '../../src/commands/run_options.js';
import { UserError } from '../../src/errors.js';

function value<Value>(option: Option<Value>, given: Given): Value | undefined {
  return parsed({ some: option }, { some: given }).some;
}

function refuses(option: Option<unknown>, given: Given, message: string): void {
  assert.throws(
    () => value(option, given),
    (error) => error instanceof UserError && error.message === message,
  );
}

suite('an option', () => {
  test('is called as its key in kebab case, or as it says', () => {
    const table = { testLimit: wholeNumber(1, {}), learningRate: wholeNumber(1, { name: 'lr' }) };
    assert.deepEqual(parsed(table, { 'test-limit': '3', lr: '4' }), {
      testLimit: 3,
      learningRate: 4,
    });
  });

  test('that is not given has no value', () => {
    assert.deepEqual(parsed({ some: flag({}) }, {}), {});
  });

  for (const [kind, option] of Object.entries({
    flag: flag({}),
    path: path({}),
    choice: choice(['a'], {}),
    port: port(1, {}),
  })) {
    test(`of the kind ${kind} is refused if it is given twice`, () => {
      refuses(option, ['a', 'a'], '--some is given more than once; give it once');
    });
  }

  test('of several texts has one or many', () => {
    assert.deepEqual(value(texts({}), 'a=1'), ['a=1']);
    assert.deepEqual(value(texts({}), ['a=1', 'b=2']), ['a=1', 'b=2']);
  });

  test('with a default port may have another, up to 65535', () => {
    assert.equal(value(port(8227, {}), true), 8227);
    assert.equal(value(port(8227, {}), '0'), 0);
    refuses(port(8227, {}), '65536', '--some 65536: ports end at 65535');
  });

  for (const given of ['1 %', '', '1.01', '-0.1']) {
    test(`with a share from 0 to 1 refuses "${given}"`, () => {
      refuses(share({}), given, `--some must be a number from 0 to 1; it is "${given}"`);
    });
  }
});

suite('a checkpoint', () => {
  for (const [given, choice] of [
    ['latest', 'latest'],
    ['best', 'best'],
    ['0', 0],
    ['1200', 1200],
  ] as const) {
    test(`may be ${given}`, () => assert.equal(value(checkpointChoice({}), given), choice));
  }

  for (const given of ['newest', '', '-1', '1.5']) {
    test(`may not be "${given}"`, () => {
      refuses(
        checkpointChoice({}),
        given,
        `--some takes latest, best or the step of a checkpoint; it is "${given}"`,
      );
    });
  }
});

suite('a path', () => {
  test('that begins with ~/ is in the home, as a shell has it', () => {
    assert.equal(value(path({}), '~/runs/a'), join(homedir(), 'runs/a'));
    assert.equal(value(path({}), '~'), homedir());
    assert.deepEqual(value(paths({}), ['~/a', 'b']), [join(homedir(), 'a'), 'b']);
  });

  test('with a ~ elsewhere stays as it is', () => {
    assert.equal(value(path({}), 'runs/~/a~'), 'runs/~/a~');
    assert.equal(value(path({}), '~somebody/a'), '~somebody/a');
  });
});

test('options are given again in the words they were given in', () => {
  const table = {
    cpu: wholeNumber(1, {}),
    quiet: flag({}),
    verbose: flag({}),
    dashboard: port(8227, {}),
    logEvery: wholeNumber(1, {}),
  };
  const typed = { cpu: '02', quiet: true, verbose: false, dashboard: '', other: '1' };
  assert.deepEqual(wordsOf(table, typed), ['--cpu', '02', '--quiet', '--dashboard']);
});
