/** The golden tensors of PyTorch, on a GPU. */
import './use_double.js';
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { kernelsRunOnHost } from '../../../src/backend/native/host_fallback.js';

process.env['TWOTOWER_TESTED_GPU'] = '0';
await import('../../model/golden.test.js');

after(() => {
  assert.deepEqual([...kernelsRunOnHost()], [], 'no kernel of training is left to the CPU');
});
