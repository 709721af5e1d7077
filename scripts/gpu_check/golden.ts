/** The networks whose tensors PyTorch has written, on the GPU. */
import { compareWithGolden, GOLDEN_NAMES, TOLERANCE } from '../../test/model/golden_comparison.js';
import { prepareProcess } from '../../src/backend/backend.js';
import { kernelsRunOnHost } from '../../src/backend/native/host_fallback.js';
import type { Report } from './figures.js';
import type { Settings } from './settings.js';

/** Logits, loss and all gradients, and that the GPU computed all of them. */
export async function checkGolden(_: Settings, report: Report): Promise<void> {
  prepareProcess();
  for (const name of GOLDEN_NAMES) {
    const errors = await compareWithGolden(name, {
      backend: 'native',
      device: 'gpu:0',
      threads: 1,
    });
    const worst = errors.reduce((one, other) => (other.relative > one.relative ? other : one));
    const value = worst.relative;
    report({ name: `${name}: ${worst.what}, the worst`, value, bound: { atMost: TOLERANCE } });
  }
  report({ name: 'kernels left to the CPU', value: kernelsRunOnHost().size, bound: { atMost: 0 } });
}
