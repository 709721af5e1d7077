/**
 * Loaded before the program (`node --import`) in a test's process and all of its threads: makes a fault
 * happen at a named point. The program itself knows nothing of it.
 *
 * `TWOTOWER_TEST_FAULT` is a `Fault` as JSON. Times at which the fault happened and at which other ranks
 * stopped waiting are appended to `Fault.log`, a line each: `fault MILLISECONDS`, `stopped MILLISECONDS`.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import type * as tf from '@tensorflow/tfjs-core';
import type { BatchInput } from '../../src/parallel/batch_input.js';
import type { Exchange } from '../../src/parallel/exchange.js';
import type { Tower } from '../../src/parallel/tower.js';

/** Where in a tower's work; a step's are those of the step `Fault.step`. */
export type FaultPoint =
  | 'before the exchange'
  | 'inside the exchange'
  | 'after the exchange'
  | 'backward'
  | 'update'
  | 'checkpoint'
  | 'output'
  | 'gradient';

export type FaultKind =
  | 'throw'
  | 'exit'
  | 'out of memory'
  /** In JavaScript, which the engine can interrupt. */
  | 'loop'
  /** In a system call that never returns, which nothing can. */
  | 'native hang'
  /** Values that are not finite, at `output` or `gradient`. */
  | 'not finite';

export interface Fault {
  log: string;
  /** In the tower that holds this rank. */
  rank?: number;
  step?: number;
  point?: FaultPoint;
  kind?: FaultKind;
  /** Once in all: not again after the workers, or the program, have started again. */
  once?: boolean;
  /** From the first write on whose path contains this, the disk is full: for all threads. */
  fullAt?: string;
}

const fault = JSON.parse(process.env['TWOTOWER_TEST_FAULT'] ?? '{}') as Fault;

function append(event: string): void {
  fs.appendFileSync(fault.log, `${event} ${Date.now()}\n`);
}

function happen(): void {
  if (fault.once === true && fs.existsSync(fault.log)) return;
  append('fault');
  switch (fault.kind) {
    case 'throw':
      throw new Error('a fault was injected');
    case 'exit':
      process.exit(7);
    // eslint-disable-next-line no-fallthrough -- process.exit does not return
    case 'out of memory':
      for (const held: unknown[] = []; ; append('fault')) {
        held.push(Array.from({ length: 2e4 }, Math.random));
      }

    case 'loop':
      for (;;);

    case 'native hang':
      // A pipe that nobody writes to is never opened.
      fs.openSync(join(fault.log, '..', 'pipe'), 'r');
  }
}

/** Replaces a method, private ones too. */
function around<Self>(
  prototype: Self,
  name: string,
  replacement: (
    self: Self & Record<string, unknown>,
    parameters: unknown[],
    original: () => unknown,
  ) => unknown,
): void {
  const methods = prototype as Record<string, (...parameters: unknown[]) => unknown>;
  const original = methods[name]!;
  methods[name] = function (this: Self & Record<string, unknown>, ...parameters: unknown[]) {
    return replacement(this, parameters, () => original.apply(this, parameters));
  };
}

function injectIntoTowers(
  TowerClass: typeof Tower,
  ExchangeClass: typeof Exchange,
  InputClass: typeof BatchInput,
  multiply: typeof tf.mul,
): void {
  let step = 0;
  let ranksHere: number[] = [];
  const isAt = (point: FaultPoint, ranks: number[]): boolean =>
    fault.point === point && step === fault.step && ranks.includes(fault.rank!);

  around(TowerClass.prototype, 'compute', (self, [command], original) => {
    ({ step } = command as { step: number });
    ranksHere = ranksOf(self);
    return original();
  });
  around(ExchangeClass.prototype, 'publish', ({ ranks }, parameters, original) => {
    const [, place, pass] = parameters as [unknown, string, string];
    const isHere = place === 'fc1';
    if (isHere && pass === 'forward' && isAt('before the exchange', ranks)) happen();
    if (isHere && pass === 'backward' && isAt('backward', ranks)) happen();
    return original();
  });
  around(ExchangeClass.prototype, 'read', ({ ranks }, parameters, original) => {
    const [, place, pass] = parameters as [unknown, string, string];
    const isHere = place === 'fc1' && pass === 'forward';
    if (isHere && isAt('inside the exchange', ranks)) happen();
    let values: unknown;
    try {
      values = original();
    } catch (error) {
      append('stopped');
      throw error;
    }
    if (isHere && isAt('after the exchange', ranks)) happen();
    return values;
  });
  around(TowerClass.prototype, 'commit', (self, _parameters, original) => {
    if (isAt('update', ranksOf(self))) happen();
    return original();
  });
  around(TowerClass.prototype, 'store', (self, _parameters, original) => {
    if (isAt('checkpoint', ranksOf(self))) happen();
    return original();
  });
  around(InputClass.prototype, 'tensors', (_self, _parameters, original) => {
    const given = original() as { images: tf.Tensor };
    if (!isAt('output', ranksHere)) return given;
    // Sums of such overflow; a NaN would not outlast the layer's own ReLU.
    const images = multiply(given.images, 3e38);
    given.images.dispose();
    return { ...given, images };
  });
  around(TowerClass.prototype, 'resultOf', (self, _parameters, original) => {
    if (isAt('gradient', ranksOf(self))) {
      const { held } = self['parameters'] as unknown as {
        held: { parameter: { name: string }; gradient: tf.Tensor }[];
      };
      const one = held.find(({ parameter }) => parameter.name === 'conv2.weight')!;
      one.gradient = multiply(one.gradient, Infinity);
    }
    return original();
  });
}

function ranksOf(tower: Record<string, unknown>): number[] {
  return (tower['exchange'] as Exchange).ranks;
}

/** A write to a file descriptor is to the path that this was opened with. */
function fillDisk(part: string): void {
  const paths = new Map<number, string>();
  const { openSync, writeSync, appendFileSync } = fs;
  /** There once the disk is full: threads share nothing else. */
  const mark = `${fault.log}.full`;
  const check = (path: string): void => {
    if (path.includes(part)) appendFileSync(mark, '');
    if (fs.existsSync(mark)) {
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    }
  };
  fs.openSync = (path, ...others) => {
    const descriptor = openSync(path, ...others);
    paths.set(descriptor, String(path));
    return descriptor;
  };
  fs.writeSync = ((descriptor: number, ...others: [Uint8Array]) => {
    check(paths.get(descriptor) ?? '');
    return writeSync(descriptor, ...others);
  }) as typeof fs.writeSync;
  fs.appendFileSync = (path, ...others) => {
    check(String(path));
    appendFileSync(path, ...others);
  };
  syncBuiltinESMExports();
}

if (fault.fullAt !== undefined) fillDisk(fault.fullAt);
if (!isMainThread && fault.point !== undefined) {
  const { BatchInput } = await import('../../src/parallel/batch_input.js');
  const { Exchange } = await import('../../src/parallel/exchange.js');
  const { Tower } = await import('../../src/parallel/tower.js');
  const { mul } = await import('@tensorflow/tfjs-core');
  injectIntoTowers(Tower, Exchange, BatchInput, mul);
}
