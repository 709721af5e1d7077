/** What the tests of the native kernels share: the backend, random shapes, comparison of results. */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { registerFusedGradients } from '../../../src/backend/fused.js';
import { registerGradients } from '../../../src/backend/gradients.js';
import type { NativeAddon } from '../../../src/backend/native/addon.js';
import {
  NATIVE,
  NATIVE_CUDA,
  registerCuda,
  registerNative,
} from '../../../src/backend/native/native.js';
import { onGpu } from './tested_addon.js';
import type { CpuBackend } from '../../../src/backend/native/cpu_backend.js';
import { registerReluGradient } from '../../../src/backend/relu_gradient.js';
import { deriveKey, RandomSequence } from '../../../src/random.js';

/** For `test`'s options. */
export { skip } from './tested_addon.js';

const TESTED = onGpu ? NATIVE_CUDA : NATIVE;

/** Names of the addon's functions that ran since the last `useNative`. */
const called = new Set<string>();

/** Makes `native` tfjs's backend, on a GPU if `onGpu`. */
export async function useNative(): Promise<CpuBackend> {
  if (tf.findBackendFactory(TESTED) === null) {
    if (onGpu) registerCuda(0);
    else registerNative(2);
    registerGradients();
    registerReluGradient();
    registerFusedGradients();
  }
  await tf.setBackend(TESTED);
  const backend = tf.backend() as CpuBackend;
  const recording = new Proxy(backend.addon, {
    get(addon, name: keyof NativeAddon) {
      called.add(name);
      return Reflect.get(addon, name) as unknown;
    },
  });
  Object.defineProperty(backend, 'addon', { value: recording, configurable: true });
  called.clear();
  return backend;
}

/** The kernel was not left to tfjs's CPU backend. */
export function assertRan(name: keyof NativeAddon): void {
  assert.ok(called.has(name), `${name} of the addon did not run`);
}

/** The requirement of float32: each sum of n products errs by about √n · 6e-8 of its terms' norm. */
export const TOLERANCE = 1e-5;

/** ‖actual − expected‖ ≤ TOLERANCE · ‖expected‖. */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  what: string,
  tolerance = TOLERANCE,
): void {
  assert.equal(actual.length, expected.length, what);
  let difference = 0;
  let norm = 0;
  for (let index = 0; index < expected.length; index++) {
    difference += (actual[index]! - expected[index]!) ** 2;
    norm += expected[index]! ** 2;
  }
  const allowed = tolerance * Math.sqrt(norm);
  assert.ok(Math.sqrt(difference) <= allowed, `${what}: off by ${Math.sqrt(difference / norm)}`);
}

/** Draws of one test, the same in every run. */
export class Draw {
  private readonly random: RandomSequence;

  constructor(label: string) {
    this.random = new RandomSequence(deriveKey(7, label));
  }

  /** One of the choices. */
  of<Choice>(...choices: Choice[]): Choice {
    return choices[this.random.below(choices.length)]!;
  }

  /** Uniform in [−1, 1). */
  values(length: number): Float32Array {
    return Float32Array.from({ length }, () => 2 * this.random.uniform() - 1);
  }
}
