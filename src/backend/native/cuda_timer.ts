/** Times of a GPU's work, by events in its stream. */
import type { DeviceTimer } from '../capabilities.js';
import type { CudaAddon } from './cuda_addon.js';

/** The timer of the calling thread's GPU. */
export function timerOf(addon: CudaAddon): DeviceTimer {
  const unused: bigint[] = [];
  return {
    mark: () => {
      const event = unused.pop() ?? addon.createEvent(true);
      addon.recordEvent(event);
      return event;
    },
    elapsedMs: (from, to) => addon.elapsedMs(from, to),
    release: (marks) => unused.push(...marks),
    synchronize: () => addon.synchronize(),
  };
}
