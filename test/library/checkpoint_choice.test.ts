import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { prepare } from '../../src/library/preparation.js';
import { train } from '../../src/library/train.js';
import { RunEvents } from '../../src/runs/events.js';
import { newFolder, TINY, writeTinyImages } from '../commands/command_line.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const run = join(folder, 'run');
const recipe = { config: TINY, data: writeTinyImages(join(folder, 'data')), cpu: 1, towers: 2 };
const modelOf = (step: number) => join(run, 'checkpoints', `step-${step}`, 'model.safetensors');

suite('initial parameters', () => {
  before(async () => {
    await train({ ...recipe, out: run, steps: 4, checkpointEvery: 2, testLimit: 16 });
  });

  test('of a run folder are those of its latest checkpoint', async () => {
    const { initialModel } = await prepare({ ...recipe, init: run });
    assert.equal(initialModel, modelOf(4));
  });

  test('of a run folder are those of the checkpoint that is chosen', async () => {
    const { initialModel } = await prepare({ ...recipe, init: run, checkpoint: 2 });
    assert.equal(initialModel, modelOf(2));
  });

  test('of a folder that is no run are refused by its name', async () => {
    const other = join(folder, 'other');
    mkdirSync(other);
    await assert.rejects(prepare({ ...recipe, init: other }), {
      name: 'UserError',
      message: `${other} is not a run folder: it has no config.json`,
    });
  });

  test('of a file are refused with a checkpoint', async () => {
    const file = join(folder, 'model.safetensors');
    writeFileSync(file, '');
    await assert.rejects(prepare({ ...recipe, init: file, checkpoint: 'best' }), {
      name: 'UserError',
      message:
        '--checkpoint selects a checkpoint of a run: give --init RUN with a run folder, or --resume RUN',
    });
  });
});

test('a run is resumed from the checkpoint that is chosen', async () => {
  const events = new RunEvents();
  const steps: number[] = [];
  events.on('step', ({ step }) => steps.push(step));
  await train({ resume: run, checkpoint: 2, cpu: 1, testLimit: 16, events });
  assert.deepEqual(steps, [3, 4]);
});
