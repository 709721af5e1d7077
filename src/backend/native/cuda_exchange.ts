/** Tensors of a GPU that other threads of the process read where they lie. */
import * as tf from '@tensorflow/tfjs-core';
import type { GpuPlace, GpuTensors } from '../capabilities.js';
import { CudaArray, CudaMemory, ELEMENT_BYTES } from './cuda_array.js';
import type { CudaAddon } from './cuda_addon.js';
import type { DeviceBackend } from './device_backend.js';

/** What a backend's thread announces, and what it reads of others. */
export function gpuTensorsOf(backend: DeviceBackend<CudaArray>, addon: CudaAddon): GpuTensors {
  // As many events as a thread has slots are enough: a round ends before the next uses them again.
  const events = new Map<number, bigint>();
  const eventOf = (slot: number): bigint => {
    const event = events.get(slot) ?? addon.createEvent(false);
    events.set(slot, event);
    return event;
  };
  return {
    announce: (tensor, slot) => {
      const event = eventOf(slot);
      const address = addon.addressOf(backend.float32(tensor)!);
      addon.recordEvent(event);
      return { address, event };
    },
    tensorAt: (ordinal, place, shape) => {
      addon.waitForEvent(place.event);
      const array = arrayAt(backend, addon, ordinal, place, shape);
      const info = backend.makeTensorInfo(shape, 'float32', array);
      return tf.engine().makeTensorFromTensorInfo(info);
    },
  };
}

/** The array in place, or a copy where this GPU cannot read the other's memory. */
function arrayAt(
  backend: DeviceBackend<CudaArray>,
  addon: CudaAddon,
  ordinal: number,
  { address }: GpuPlace,
  shape: number[],
): CudaArray {
  const length = tf.util.sizeFromShape(shape);
  if (addon.readsInPlace(ordinal)) {
    const memory = CudaMemory.at(addon, address, length * ELEMENT_BYTES.float32);
    return new CudaArray(memory, 'float32', 0, length);
  }
  const copy = backend.allocate(shape);
  addon.copyFromGpu(ordinal, address, copy);
  return copy;
}
