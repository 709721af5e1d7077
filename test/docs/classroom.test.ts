import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { blocksOf, readPage, ROOT } from './markdown.js';
import { patchedProgram, patchOf } from './patched_program.js';
import type { Patch } from './patched_program.js';

/** A change, or none, and the commands that are run with it. */
interface Trial {
  patch: Patch | null;
  commands: string[][];
}

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

const PAGE = readPage('docs/classroom.md');

/** An exercise's part of the page. @param number from 1 */
function exercise(number: number): string {
  const part = PAGE.split(/^## /m).find((text) => text.startsWith(`${number}. `));
  assert.ok(part !== undefined);
  return part;
}

function trialsOf(part: string): Trial[] {
  const trials: Trial[] = [];
  let patch: Patch | null = null;
  for (const { language, text } of blocksOf(part)) {
    if (language === 'diff') patch = patchOf(text);
    if (language === '') trials.push({ patch, commands: commandsIn(text) });
  }
  return trials;
}

/** The words after `npm start --` of each command; a backslash continues a line. */
function commandsIn(block: string): string[][] {
  const lines = block.replace(/\\\n/g, '').trimEnd().split('\n');
  return lines.map((line) => {
    const [, words] = /^npm start -- (.+)$/.exec(line) ?? [];
    assert.ok(words !== undefined, line);
    return words.split(/\s+/);
  });
}

async function outcomesOf({ patch, commands }: Trial): Promise<Outcome[]> {
  const folder = patch === null ? null : patchedProgram(patch);
  try {
    const outcomes: Outcome[] = [];
    for (const words of commands) outcomes.push(await run(folder ?? ROOT, words));
    return outcomes;
  } finally {
    if (folder !== null) rmSync(folder, { recursive: true });
  }
}

async function run(folder: string, words: string[]): Promise<Outcome> {
  const program = [join(folder, 'dist', 'src', 'cli.js'), ...words];
  const env = { ...process.env, COLUMNS: '200' };
  return new Promise((resolve) => {
    execFile(process.execPath, program, { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

/** Each line that the exercise quotes is printed by one of its commands. */
function assertQuoted(part: string, outcomes: Outcome[]): void {
  const printed = outcomes.flatMap(({ stdout }) =>
    stdout.split('\n').map((line) => line.trimEnd()),
  );
  for (const { language, text } of blocksOf(part)) {
    if (language !== 'text') continue;
    for (const line of text.trimEnd().split('\n')) assert.ok(printed.includes(line), line);
  }
}

/** The rows of `check`'s table. */
function gradientsIn({ stdout }: Outcome): { parameter: string; ratio: number }[] {
  return [...stdout.matchAll(/^(\w+\.\w+) +(\S+e\S+) +(\S+e\S+) /gm)].map(
    ([, parameter, gradient, difference]) => ({
      parameter: parameter!,
      ratio: Number(gradient) / Number(difference),
    }),
  );
}

suite('the classroom', () => {
  test('1: the logits gradients added up are all twice too large on two workers, and right on one', async () => {
    const [added] = trialsOf(exercise(1));
    const [split, grouped] = await outcomesOf(added!);
    assert.equal(split!.code, 1);
    assert.match(split!.stderr, /gradients differ from finite differences by more than 1 %: conv1/);
    const ratios = gradientsIn(split!);
    assert.ok(ratios.length >= 10);
    for (const { parameter, ratio } of ratios) assert.ok(Math.abs(ratio - 2) < 0.02, parameter);
    assert.deepEqual([grouped!.code, grouped!.stdout.includes('conv1.weight')], [0, true]);
  });

  test("1: without the other rank's terms the gradients of the last layer alone are right", async () => {
    const [, omitted] = trialsOf(exercise(1));
    const [split] = await outcomesOf(omitted!);
    assert.equal(split!.code, 1);
    const right = gradientsIn(split!).filter(({ ratio }) => Math.abs(ratio - 1) < 0.01);
    assert.deepEqual(
      right.map(({ parameter }) => parameter),
      ['fc2.weight', 'fc2.bias'],
    );
  });

  for (const [number, about] of [
    [2, 'without communication the logits alone cross'],
    [3, "conv3's place moves the fewest bytes"],
    [4, 'four towers exchange three times as much, and their gradients are right'],
  ] as const) {
    test(`${number}: ${about}`, async () => {
      const part = exercise(number);
      const [trial] = trialsOf(part);
      const outcomes = await outcomesOf(trial!);
      for (const { code, stderr } of outcomes) assert.equal(code, 0, stderr);
      assertQuoted(part, outcomes);
    });
  }

  test('5: the split exchanges and waits, and its network has fewer parameters than the dense one', async () => {
    const [trial] = trialsOf(exercise(5));
    const [{ code, stdout } = { code: 1, stdout: '' }] = await outcomesOf(trial!);
    assert.equal(code, 0);
    const row = (name: string) =>
      new RegExp(`^${name} +[\\d.]+ +[\\d.]+ +([\\d.]+) +([\\d.]+) +[\\d.]+ +\\S`, 'm').exec(
        stdout,
      )!;
    const [, copying, waiting] = row('split');
    assert.ok(Number(copying) > 0 && Number(waiting) > 0);
    for (const name of ['grouped', 'dense']) {
      const [, copied, waited] = row(name);
      assert.deepEqual([Number(copied), Number(waited)], [0, 0]);
    }
    const parametersOf = (name: string) =>
      [...stdout.matchAll(new RegExp(`^${name} +cpu +([\\d,]+) `, 'gm'))]
        .map(([, count]) => Number(count!.replaceAll(',', '')))
        .reduce((sum, count) => sum + count, 0);
    assert.ok(parametersOf('split') > 0 && parametersOf('split') < parametersOf('dense'));
  });

  test('each change has at most ten lines', () => {
    const patches = blocksOf(PAGE).filter(({ language }) => language === 'diff');
    assert.ok(patches.length >= 2);
    for (const { text } of patches) assert.ok(patchOf(text).changedLines <= 10, text);
  });
});
