/** Averages of runs, against averages that the tests compute themselves from the probabilities of each run alone. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { evaluate, train } from 'twotower';
import type { Evaluation } from 'twotower';
import { newFolder, TINY, writeTinyImages } from '../commands/command_line.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const data = writeTinyImages(join(folder, 'data'));
const [one, other] = [join(folder, 'one'), join(folder, 'other')];

interface Line {
  number: string;
  image: string;
  label: string;
  probabilities: number[];
}

/** The classes, and each image's line. No name here needs quotes. */
function read(file: string): { classes: string[]; lines: Line[] } {
  const rows = readFileSync(file, 'utf8').trimEnd().split('\r\n');
  const [[, , , ...classes], ...images] = rows.map((row) => row.split(',')) as [
    string[],
    ...string[][],
  ];
  const lines = images.map(([number, image, label, ...values]) => {
    return { number: number!, image: image!, label: label!, probabilities: values.map(Number) };
  });
  return { classes, lines };
}

/** A run as it is, but for these fields of its configuration. */
function copyOf(run: string, name: string, fields: Record<string, object>): string {
  const path = join(folder, name);
  cpSync(run, path, { recursive: true });
  const file = join(path, 'config.json');
  const configuration = JSON.parse(readFileSync(file, 'utf8')) as Record<string, object>;
  for (const [section, changes] of Object.entries(fields)) {
    configuration[section] = { ...configuration[section], ...changes };
  }
  writeFileSync(file, JSON.stringify(configuration));
  return path;
}

/** Mean cross-entropy of the labels, of all images or of those with these numbers. */
function lossOf(file: string, numbers?: string[]): number {
  const { classes, lines } = read(file);
  const chosen = lines.filter(({ number }) => numbers?.includes(number) ?? true);
  const losses = chosen.map((line) => -Math.log(line.probabilities[classes.indexOf(line.label)]!));
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
}

/** That of nine digits each. */
function assertLoss(loss: number, expected: number): void {
  assert.ok(Math.abs(loss - expected) < 1e-7, `${loss}, not ${expected}`);
}

suite('two runs of other networks on the same images', () => {
  const [firstFile, secondFile, bothFile] = ['one', 'other', 'both'].map((name) =>
    join(folder, `${name}.csv`),
  ) as [string, string, string];
  let alone: Evaluation[];
  let both: Evaluation;

  before(async () => {
    await train({ config: TINY, data, cpu: 2, steps: 20, out: one });
    await train({
      ...{ config: TINY, data, cpu: 1, towers: 1, steps: 20, seed: 5, out: other },
      overrides: { data: { mean: 'channel' } },
    });
    alone = [
      await evaluate(one, { cpu: 1, out: firstFile }),
      await evaluate(other, { cpu: 1, out: secondFile }),
    ];
    both = await evaluate([one, other], { cpu: 1, out: bothFile });
  });

  test('have the mean of their probabilities, image by image', () => {
    const [first, second] = [firstFile, secondFile].map((file) => read(file).lines);
    const { lines } = read(bothFile);
    assert.equal(lines.length, 64);
    lines.forEach(({ number, image, label, probabilities }, at) => {
      assert.deepEqual([number, image, label], Object.values(first![at]!).slice(0, 3));
      probabilities.forEach((probability, index) => {
        const mean = (first![at]!.probabilities[index]! + second![at]!.probabilities[index]!) / 2;
        // Three values of nine digits each.
        assert.ok(Math.abs(probability - mean) < 2e-9, `${probability}, not ${mean}`);
      });
    });
  });

  test('have the loss and the accuracy of these means', () => {
    const { classes, lines } = read(bothFile);
    const right = lines.filter(
      ({ label, probabilities }) =>
        probabilities[classes.indexOf(label)] === Math.max(...probabilities),
    );
    assert.equal(both.top1, right.length / 64);
    assertLoss(both.loss, lossOf(bothFile));
  });

  test('are reported one by one beside their average', () => {
    assert.deepEqual(
      both.runs,
      alone.flatMap(({ runs }) => runs),
    );
    alone.forEach(({ loss, runs }) => assert.equal(loss, runs[0]!.loss));
    assertLoss(alone[1]!.loss, lossOf(secondFile));
  });

  test('are tested on one sample, whatever their seeds', async () => {
    const out = join(folder, 'sample.csv');
    const { runs } = await evaluate([one, other], { cpu: 1, testLimit: 10, out });
    const numbers = read(out).lines.map(({ number }) => number);
    assert.equal(numbers.length, 10);
    assertLoss(runs[0]!.loss, lossOf(firstFile, numbers));
    assertLoss(runs[1]!.loss, lossOf(secondFile, numbers));
  });

  test('of which one has other test images are refused, and nothing is written', async () => {
    const elsewhere = writeTinyImages(join(folder, 'elsewhere'));
    const test = readFileSync(join(elsewhere, 'test_batch.bin'));
    test[100]! ^= 1;
    writeFileSync(join(elsewhere, 'test_batch.bin'), test);
    const third = copyOf(one, 'third', { data: { directory: elsewhere } });
    const out = join(folder, 'refused.csv');
    await assert.rejects(evaluate([one, third], { cpu: 1, out }), {
      message: `${third} has other test images than ${one}: give --data DIR for all of them`,
    });
    assert.ok(!existsSync(out));
  });

  test('with another number of crops are refused before the first test', async () => {
    const view = { type: 'crop', from: 36 };
    const ten = copyOf(one, 'ten', { data: { view }, test: { crops: 10 } });
    await assert.rejects(evaluate([one, ten], { cpu: 1 }), {
      message: `${ten} is tested with 10 crops per image and ${one} with 1: give --crops`,
    });
  });

  test('cannot be written into a folder that is missing, which is said before the test', async () => {
    mkdirSync(join(folder, 'taken'));
    await assert.rejects(evaluate(one, { out: join(folder, 'no', 'a.csv') }), {
      message: `--out ${join(folder, 'no', 'a.csv')}: there is no folder ${join(folder, 'no')}; make it, or name another`,
    });
    await assert.rejects(evaluate(one, { out: join(folder, 'taken') }), /is a folder/);
  });
});
