/** The policy's table: for each situation, the actions that follow. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { loadConfiguration } from '../../src/configuration.js';
import { RandomSequence, deriveKey } from '../../src/random.js';
import { INITIAL_PROGRESS } from '../../src/runs/progress.js';
import type { Progress } from '../../src/runs/progress.js';
import {
  afterFailedWrite,
  afterSave,
  afterStep,
  afterStop,
  afterTest,
  afterTrouble,
  initialLoopState,
  next,
} from '../../src/training/policy.js';
import type { Action, Asked, Leaves, Limits, LoopState } from '../../src/training/policy.js';

const { training } = loadConfiguration({ preset: 'demo' });

/** What happens during one action. */
interface Happening {
  asked?: 'stop' | 'save';
  /** The step is not finite. */
  skipped?: true;
  /** The test is cut short if the policy no longer wants it. */
  test?: { loss: number; top1: number };
  /** The wait for the step's batch is ended by a stop. */
  stopped?: true;
  throws?: Leaves;
  /** The checkpoint's writing fails, which the next action finds out. */
  writeFails?: true;
}

interface Situation {
  progress?: Partial<Progress>;
  /** The progress is a checkpoint's. */
  loaded?: boolean;
  limits?: Partial<Limits>;
  /** By position in the list of actions, from 0. */
  during?: Record<number, Happening>;
}

const TESTED = { loss: 1, top1: 0.5, top5: 0.9 };

const askedOf = (asked: Happening['asked']): Asked => ({
  stop: asked === 'stop',
  save: asked === 'save',
});

function initialOf({ progress = {}, loaded = false, limits = {} }: Situation): LoopState {
  const defaults = {
    lastStep: 6,
    runEnd: 6,
    batches: 3,
    skips: 0,
    checkpointEvery: Infinity,
    testsEpochs: true,
    testEvery: Infinity,
    finalCrops: 1,
  };
  return initialLoopState({ ...INITIAL_PROGRESS, ...progress }, loaded, { ...defaults, ...limits });
}

/** Carries out one action. */
function perform(state: LoopState, action: Action, happening: Happening = {}): LoopState {
  // A stop stays asked for.
  const asked = askedOf(state.asked.stop ? 'stop' : happening.asked);
  if (happening.throws !== undefined) {
    return afterTrouble(state, new Error(action), happening.throws);
  }
  if (happening.stopped === true) return afterStop(state);
  if (happening.writeFails === true) return afterFailedWrite(state, new Error('disk full'));
  switch (action) {
    case 'step':
      return afterStep(state, happening.skipped === true ? new Error('NaN') : null, asked);
    case 'test':
    case 'finalTest': {
      const goesOn = next({ ...state, asked }) === action;
      const result = goesOn ? { ...TESTED, ...happening.test } : null;
      return afterTest(state, result, asked, training);
    }
    case 'save':
      return afterSave(state, asked);
    default:
      throw new Error(`${action} ends the run`);
  }
}

const isEnd = (action: Action) => ['completed', 'interrupted', 'failed'].includes(action);

/** The actions from the situation to the run's end, at most 12, and the last state. */
function follow(situation: Situation): { actions: Action[]; state: LoopState } {
  let state = initialOf(situation);
  const actions: Action[] = [];
  while (actions.length < 12) {
    const action = next(state);
    actions.push(action);
    if (isEnd(action)) break;
    state = perform(state, action, situation.during?.[actions.length - 1]);
  }
  return { actions, state };
}

/** After step 4: in the second epoch of three batches, the first being tested. */
const INSIDE = {
  step: 4,
  epoch: 1,
  batch: 1,
  lastTest: { step: 3, ...TESTED },
  best: { step: 3, top1: 0.5 },
};
/** All six steps done and tested. */
const DONE = { step: 6, epoch: 2, batch: 0, lastTest: { step: 6, ...TESTED } };
const EPOCH_DONE = { step: 3, batch: 3 };

const TABLE: [name: string, situation: Situation, actions: string][] = [
  [
    'without tests at the ends of epochs each is saved, and the last step is tested',
    { limits: { testsEpochs: false, finalCrops: 10 } },
    'step step step save step step step test save finalTest completed',
  ],
  [
    'without tests at the ends of epochs one that was saved is not saved again',
    { progress: { step: 3, epoch: 1 }, loaded: true, limits: { testsEpochs: false } },
    'step step step test save completed',
  ],
  ['a new run begins with a step', { limits: { checkpointEvery: 3 } }, 'step step step test save'],
  [
    'a run that is stopped while it waits for its first batch saves the initial parameters',
    { during: { 0: { stopped: true } } },
    'step save interrupted',
  ],
  [
    'a resumed run that is stopped writes nothing',
    { progress: INSIDE, loaded: true, during: { 0: { stopped: true } } },
    'step interrupted',
  ],
  [
    'a stop during a step saves after it',
    { progress: INSIDE, loaded: true, during: { 0: { asked: 'stop' } } },
    'step save interrupted',
  ],
  [
    'a request to save is carried out after the step, and training goes on',
    { progress: INSIDE, loaded: true, during: { 0: { asked: 'save' } } },
    'step save step test save completed',
  ],
  [
    'a request to save what is saved already does nothing',
    { during: { 0: { asked: 'save' }, 1: { asked: 'save' } } },
    'step save step step test save',
  ],
  [
    'a checkpoint is due every so many steps',
    { limits: { checkpointEvery: 2 } },
    'step step save step test save step save',
  ],
  [
    'a checkpoint that is due at the end of an epoch comes after its test',
    { limits: { checkpointEvery: 3 } },
    'step step step test save step',
  ],
  [
    'a test is due every so many steps inside an epoch, and the epoch goes on',
    { limits: { testEvery: 2 } },
    'step step test save step test save step test save step step',
  ],
  [
    'a request to save at the end of an epoch saves before the test and after it',
    { during: { 2: { asked: 'save' } } },
    'step step step save test save',
  ],
  [
    'the last batch of an epoch is followed by a test, a checkpoint and the next epoch',
    { progress: { ...INSIDE, step: 2, epoch: 0, batch: 2, lastTest: null }, loaded: true },
    'step test save step',
  ],
  [
    'a test that a stop cuts short is left to the resumed run',
    { progress: EPOCH_DONE, during: { 0: { asked: 'stop' } } },
    'test save interrupted',
  ],
  [
    'a resumed run makes the test that was cut short',
    { progress: EPOCH_DONE, loaded: true },
    'test save step',
  ],
  [
    'a request to save in the test of an unsaved step cuts the test short and repeats it',
    { progress: EPOCH_DONE, during: { 0: { asked: 'save' } } },
    'test save test save step',
  ],
  [
    'a request to save in the test of a saved step lets the test go on',
    { progress: EPOCH_DONE, loaded: true, during: { 0: { asked: 'save' } } },
    'test save step',
  ],
  [
    'a last step inside an epoch is tested',
    { progress: INSIDE, loaded: true, limits: { lastStep: 5 } },
    'step test save completed',
  ],
  [
    'ten crops are tested last, after the checkpoint',
    { progress: INSIDE, loaded: true, limits: { lastStep: 5, finalCrops: 10 } },
    'step test save finalTest completed',
  ],
  [
    'a last test that is cut short leaves the run interrupted',
    {
      progress: DONE,
      loaded: true,
      limits: { finalCrops: 10 },
      during: { 0: { asked: 'stop' } },
    },
    'finalTest interrupted',
  ],
  [
    'a resumed run makes the last test that was cut short',
    { progress: DONE, loaded: true, limits: { finalCrops: 10 } },
    'finalTest completed',
  ],
  [
    'a run that was killed before its summary is complete when it is resumed',
    { progress: DONE, loaded: true },
    'completed',
  ],
  [
    'a stop after everything is done changes nothing',
    { progress: { ...DONE, lastTest: null, batch: 3, epoch: 1 }, during: { 1: { asked: 'stop' } } },
    'test save completed',
  ],
  [
    'a step that is not finite is skipped as often as allowed',
    { progress: INSIDE, loaded: true, limits: { skips: 1 }, during: { 0: { skipped: true } } },
    'step step test save completed',
  ],
  [
    'one skipped step too many ends the run unsaved',
    {
      progress: INSIDE,
      loaded: true,
      limits: { skips: 1 },
      during: { 0: { skipped: true }, 1: { skipped: true } },
    },
    'step step failed',
  ],
  [
    'a test whose loss is not finite ends the run unsaved',
    { progress: EPOCH_DONE, during: { 0: { test: { loss: Number.NaN, top1: 0 } } } },
    'test failed',
  ],
  [
    'a parameter that is not finite, found while saving, ends the run unsaved',
    { progress: EPOCH_DONE, during: { 1: { throws: 'suspect' } } },
    'test save failed',
  ],
  [
    'a worker that fails ends the run unsaved',
    { during: { 1: { throws: 'nothing' } } },
    'step step failed',
  ],
  [
    'a listener that throws, or a decoder that stalls, ends the run saved',
    { during: { 1: { throws: 'whole' } } },
    'step step save failed',
  ],
  [
    'a failure after a checkpoint has nothing more to save',
    { progress: INSIDE, loaded: true, during: { 0: { throws: 'whole' } } },
    'step failed',
  ],
  [
    'a checkpoint that cannot be written is tried once more',
    { during: { 0: { asked: 'stop' }, 1: { writeFails: true } } },
    'step save save failed',
  ],
  [
    'a second failure to write ends the run',
    { during: { 0: { asked: 'stop' }, 1: { writeFails: true }, 2: { writeFails: true } } },
    'step save save failed',
  ],
  [
    'a lock that is lost ends the run unsaved',
    { during: { 0: { asked: 'save' }, 1: { throws: 'nothing' } } },
    'step save failed',
  ],
  [
    'a completed run that is given more epochs goes on',
    { progress: DONE, loaded: true, limits: { lastStep: 9 } },
    'step step step test save completed',
  ],
];

suite('what a run does next', () => {
  for (const [name, situation, expected] of TABLE) {
    test(name, () => {
      const wanted = expected.split(' ');
      const { actions } = follow(situation);
      const compared = isEnd(wanted.at(-1) as Action) ? actions : actions.slice(0, wanted.length);
      assert.deepEqual(compared, wanted);
    });
  }
});

suite('the state after', () => {
  test('the test of an epoch is the next epoch, with the best test kept', () => {
    const { progress } = follow({
      progress: { ...INSIDE, step: 5, batch: 2 },
      loaded: true,
      during: { 1: { test: { loss: 1, top1: 0.4 } } },
    }).state;
    const lastTest = { step: 6, loss: 1, top1: 0.4, top5: 0.9 };
    assert.deepEqual(progress, {
      ...INITIAL_PROGRESS,
      step: 6,
      epoch: 2,
      lastTest,
      best: INSIDE.best,
    });
  });

  test('the test of a last step inside an epoch stays in that epoch', () => {
    const { progress } = follow({ progress: INSIDE, loaded: true, limits: { lastStep: 5 } }).state;
    assert.deepEqual([progress.epoch, progress.batch, progress.lastTest?.step], [1, 2, 5]);
  });

  test('a skipped step counts it', () => {
    const state = initialOf({ progress: INSIDE, limits: { skips: 1 } });
    const { progress } = afterStep(state, new Error('NaN'), askedOf(undefined));
    assert.deepEqual([progress.step, progress.batch, progress.skipped], [5, 2, 1]);
  });

  test('two failures reports the first', () => {
    const { trouble } = follow({
      during: { 1: { throws: 'whole' }, 2: { writeFails: true } },
    }).state;
    assert.deepEqual(trouble, { error: new Error('step'), leaves: 'nothing' });
  });
});

test('under 2,000 random faults every run ends, and never completes unsaved or untested', () => {
  const random = new RandomSequence(deriveKey(1, 'faults of the policy'));
  const one = <Choice>(...choices: Choice[]): Choice =>
    choices[Math.floor(random.uniform() * choices.length)]!;
  for (let run = 0; run < 2000; run++) {
    let state = initialOf({
      limits: {
        checkpointEvery: one(1, 2, 5, Infinity),
        testEvery: one(1, 2, 5, Infinity),
        skips: one(0, 2),
        finalCrops: one(1, 10),
      },
    });
    const happenings: Happening[] = [
      { asked: 'stop' },
      { asked: 'save' },
      { skipped: true },
      { test: { loss: one(1, Number.NaN), top1: random.uniform() } },
      { stopped: true },
      { throws: one<Leaves>('whole', 'suspect', 'nothing') },
      { writeFails: true },
    ];
    let action = next(state);
    for (let taken = 0; !isEnd(action); taken++) {
      assert.ok(taken < 100, `run ${run} does not end: ${JSON.stringify(state)}`);
      state = perform(state, action, random.uniform() < 0.2 ? one(...happenings) : {});
      action = next(state);
    }
    if (action !== 'completed') continue;
    assert.equal(state.saved, state.progress);
    assert.equal(state.progress.lastTest?.step, 6);
  }
});
