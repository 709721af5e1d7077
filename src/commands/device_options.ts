/** The options that say where the towers compute; their values are `Devices` of the library. */
import { BACKEND_NAMES } from '../backend/backend.js';
import { PRECISIONS } from '../backend/numerics.js';
import { UserError } from '../errors.js';
import { choice, flag, textOption, wholeNumber } from './option_kinds.js';

const group = 'Devices:';

export const deviceOptions = {
  gpus: textOption(
    {
      group,
      describe:
        'One worker on each of these GPUs, by number or UUID, such as 0,1 (default: all that the towers can use)',
    },
    gpusOf,
  ),
  cpu: wholeNumber(1, { group, describe: 'This many workers on the CPU, instead of GPUs' }),
  threads: wholeNumber(1, {
    group,
    describe: 'CPU threads per worker (default: its share of the cores)',
  }),
  gpuMemory: textOption(
    {
      group,
      describe:
        "Part of each GPU's memory that its workers may hold together, such as 0.5 (default: all)",
    },
    (given) => {
      const part = Number(given);
      if (part > 0 && part <= 1) return part;
      throw new UserError(`--gpu-memory must be above 0 and at most 1; it is "${given}"`);
    },
  ),
  requireGpu: flag({ group, describe: 'Fail instead of using the CPU in place of a GPU' }),
  allowCpu: flag({ group, describe: 'Use the CPU even if a GPU is there that does not work' }),
  backend: choice(BACKEND_NAMES, {
    group,
    describe: 'Compute backend (default: the first available)',
  }),
  precision: choice(PRECISIONS, {
    group,
    describe:
      'Number format of the operands of convolutions and matrix products; bf16 and, on GPUs, tf32 need the native backend (default float32)',
  }),
};

function gpusOf(text: string): (number | string)[] {
  return text.split(',').map((part) => {
    const gpu = part.trim();
    if (/^\d+$/.test(gpu)) return Number(gpu);
    if (gpu.startsWith('GPU-')) return gpu;
    throw new UserError(
      `--gpus takes GPU numbers or UUIDs separated by commas, such as 0,1; it is "${text}"`,
    );
  });
}
