/** What a worker says of the GPU on which it computes; nothing of it if it computes on none. */
import { capabilities } from '../backend/capabilities.js';
import type { OpenReply, StepTiming } from './messages.js';

/** The GPU and its memory as they are now. @param sums whether it may sum gradients with other hosts' */
export function openedGpu(sums: boolean): Pick<OpenReply, 'gpu' | 'member'> {
  const backend = capabilities();
  const gpu = backend.gpu?.();
  const memory = backend.gpuMemory?.();
  if (gpu === undefined || memory === undefined) return {};
  const opened = { ...gpu, bytes: memory.total, freeBytes: memory.free };
  return { gpu: opened, ...(sums && { member: backend.gpuSums!.member() }) };
}

/** What a step says of the GPU. @param note on how it is used */
export function gpuUse(note: string | null): Pick<StepTiming, 'gpuBytes' | 'notes'> {
  const backend = capabilities();
  const gpuBytes = backend.heldBytes?.();
  if (gpuBytes === undefined) return {};
  const kernels = [...(backend.kernelsRunOnHost?.() ?? [])];
  const notes = [
    ...kernels.map((name) => `the GPU lacks the kernel ${name}, so the host computes it`),
    ...(note === null ? [] : [note]),
  ];
  return { gpuBytes, ...(notes.length > 0 && { notes }) };
}
