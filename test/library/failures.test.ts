/** What a run that fails, or is asked to save, leaves behind. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { RunEvents, train } from 'twotower';
import { newFolder, TINY, writeTinyImages } from '../commands/command_line.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const data = writeTinyImages(join(folder, 'data'));
/** 16 steps per epoch. */
const tiny = { config: TINY, data, cpu: 1, testLimit: 16, checkpointMinutes: 0 };

const checkpointsOf = (path: string): string[] => readdirSync(join(path, 'checkpoints')).sort();

function summaryOf(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(path, 'summary.json'), 'utf8')) as Record<string, unknown>;
}

function assertSameEnd(path: string, other: string, step: number): void {
  for (const file of ['model.safetensors', 'optimizer.safetensors']) {
    const bytesOf = (run: string) => readFileSync(join(run, 'checkpoints', `step-${step}`, file));
    assert.ok(bytesOf(path).equals(bytesOf(other)), `${file} differs`);
  }
}

suite('a listener that throws', () => {
  const straight = join(folder, 'straight');
  before(async () => {
    await train({ ...tiny, out: straight, steps: 20, epochs: 2 });
  });

  for (const [event, step] of [
    ['step', 5],
    ['test', 16],
    ['testing', 16],
  ] as const) {
    test(`at the event ${event} ends the run, which is saved and resumes to the undisturbed end`, async () => {
      const out = join(folder, `thrown at ${event}`);
      const events = new RunEvents();
      let taken = 0;
      events.on('step', ({ step: done }) => (taken = done));
      events.on(event, () => {
        if (taken === step) throw new Error('a listener failed');
      });
      await assert.rejects(train({ ...tiny, out, steps: 20, epochs: 2, events }), {
        message: `a listener failed; the last checkpoint is ${join(out, 'checkpoints', `step-${step}`)}: continue with --resume ${out}`,
      });
      assert.equal(summaryOf(out)['status'], 'failed');
      const { status } = await train({ ...tiny, config: undefined, data: undefined, resume: out });
      assert.equal(status, 'completed');
      assertSameEnd(out, straight, 20);
    });
  }
});

suite('a run that diverges', () => {
  test('keeps its last tested checkpoint as the one to resume from, and sets later ones aside', async () => {
    const out = join(folder, 'diverged');
    await train({ ...tiny, out, epochs: 1 });
    const diverging = { resume: out, cpu: 1, testLimit: 16, epochs: 3, checkpointMinutes: 0 };
    await assert.rejects(train({ ...diverging, learningRate: 1e4, checkpointEvery: 1 }), {
      message: /not finite.*the last checkpoint is .*step-16: continue with --resume/,
    });
    const names = checkpointsOf(out);
    assert.ok(names.includes('step-16'), names.join());
    assert.deepEqual(
      names.filter((name) => /^step-\d+$/.test(name) && name !== 'step-16'),
      [],
    );
    const { status } = await train({ ...diverging, epochs: 2, learningRate: 0.01 });
    assert.equal(status, 'completed');
  });
});

suite('a checkpoint inside an epoch', () => {
  test('is saved when a listener asks for it, and training goes on', async () => {
    const out = join(folder, 'asked');
    const events = new RunEvents();
    const saved: number[] = [];
    events.on('step', ({ step }) => {
      if (step === 3) events.emit('saveNow');
    });
    events.on('checkpoint', ({ step }) => saved.push(step));
    const { status } = await train({ ...tiny, out, epochs: 1, events });
    assert.equal(status, 'completed');
    // The request is taken at the end of the step under way.
    assert.deepEqual(saved, [4, 16]);
  });

  test('is saved every so many minutes', async () => {
    const out = join(folder, 'timed');
    const events = new RunEvents();
    const saved: number[] = [];
    events.on('checkpoint', ({ step }) => saved.push(step));
    await train({ ...tiny, out, epochs: 1, events, checkpointMinutes: 1e-4 });
    assert.ok(saved.some((step) => step < 16));
    assert.equal(saved.at(-1), 16);
  });
});

test('a run that is stopped before it is open rejects with the reason and leaves no folder', async () => {
  const out = join(folder, 'never opened');
  await assert.rejects(
    train({ ...tiny, out, signal: AbortSignal.abort(new Error('stopped')) }),
    /^Error: stopped$/,
  );
  assert.equal(existsSync(out), false);
});
