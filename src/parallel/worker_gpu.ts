/** What a worker says of the GPU on which it computes; nothing of it if it computes on none. */
import { capabilities } from '../backend/capabilities.js';
import type { OpenReply, StepTiming } from './messages.js';

/** The GPU and its memory as they are now. */
export function openedGpu(): Pick<OpenReply, 'gpu'> {
  const backend = capabilities();
  const gpu = backend.gpu?.();
  const memory = backend.gpuMemory?.();
  if (gpu === undefined || memory === undefined) return {};
  return { gpu: { ...gpu, bytes: memory.total, freeBytes: memory.free } };
}

/** What a step says of the GPU. */
export function gpuUse(): Pick<StepTiming, 'gpuBytes' | 'hostKernels'> {
  const backend = capabilities();
  const gpuBytes = backend.heldBytes?.();
  if (gpuBytes === undefined) return {};
  const hostKernels = [...(backend.kernelsRunOnHost?.() ?? [])];
  return { gpuBytes, ...(hostKernels.length > 0 && { hostKernels }) };
}
