/**
 * The tfjs backend `native` on the CPU: tfjs's own CPU backend with its values in pooled memory. Every kernel of tfjs
 * works here, and those that a training step spends its time in run in the addon, on the same memory.
 *
 * Lifetime of a tensor's memory:
 * - `allocate` returns part of a pooled buffer with the values of an earlier tensor, so a kernel must write all of
 *   its output;
 * - the buffer returns to the pool when the last tensor whose data views it is disposed. Kernels must not keep a view
 *   beyond their call;
 * - `read` and `readSync` copy pooled memory, so that the result belongs to the caller for good;
 * - an array that the user gave (`tf.tensor(array)`) is used in place, as by tfjs's CPU backend, and never enters the
 *   pool.
 */
import * as tf from '@tensorflow/tfjs-core';
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import type { Capabilities, SharedTensors } from '../capabilities.js';
import type { Precision } from '../numerics.js';
import type { CpuArray, NativeAddon } from './addon.js';
import { BufferPool, CACHE_LINE, type Memory } from './buffer_pool.js';
import type { ArrayType, DeviceBackend } from './device_backend.js';

/** Key of a tensor's data. */
export type DataId = object;

type Values = tf.backend_util.BackendValues;

/** Where the tensors of each pooled buffer begin, bytes. */
const starts = new WeakMap<SharedArrayBuffer, number>();

/**
 * Memory that other threads can read in place. A tensor begins on a cache line: V8's memory begins 16 bytes after one, and
 * matrix instructions read and write vectors that straddle two lines at half the speed.
 */
function sharedMemory(addon: NativeAddon): Memory<SharedArrayBuffer> {
  return {
    make: (bytes) => {
      const buffer = new SharedArrayBuffer(bytes + CACHE_LINE);
      starts.set(buffer, addon.prepareMemory(new Uint8Array(buffer)));
      return buffer;
    },
    bytesOf: (buffer) => buffer.byteLength - CACHE_LINE,
  };
}

export class CpuBackend extends MathBackendCPU implements DeviceBackend<CpuArray>, Capabilities {
  private readonly pool: BufferPool<SharedArrayBuffer>;

  /** @param precision of the operands of convolutions and matrix products */
  constructor(
    readonly addon: NativeAddon,
    readonly precision: Precision,
  ) {
    super();
    this.pool = new BufferPool(sharedMemory(addon));
  }

  allocate(shape: readonly number[], dtype: 'int32'): Int32Array;
  allocate(shape: readonly number[], dtype: 'bool'): Uint8Array;
  allocate(shape: readonly number[], dtype?: 'float32'): Float32Array;
  allocate(shape: readonly number[], dtype?: ArrayType): CpuArray;
  allocate(shape: readonly number[], dtype: ArrayType = 'float32'): CpuArray {
    const length = tf.util.sizeFromShape(shape as number[]);
    const buffer = this.pool.take(length * tf.util.bytesPerElement(dtype));
    const start = starts.get(buffer)!;
    if (dtype === 'float32') return new Float32Array(buffer, start, length);
    if (dtype === 'int32') return new Int32Array(buffer, start, length);
    return new Uint8Array(buffer, start, length);
  }

  arrayOf({ dataId, dtype }: tf.TensorInfo): CpuArray | undefined {
    const { values } = this.data.get(dataId);
    if (dtype === 'float32') return values instanceof Float32Array ? values : undefined;
    if (dtype === 'int32') return values instanceof Int32Array ? values : undefined;
    return dtype === 'bool' && values instanceof Uint8Array ? values : undefined;
  }

  float32(tensor: tf.TensorInfo): Float32Array | undefined {
    return tensor.dtype === 'float32' ? (this.arrayOf(tensor) as Float32Array) : undefined;
  }

  slice(array: CpuArray, start: number, end: number): CpuArray {
    return array.subarray(start, end);
  }

  withUploaded(
    values: readonly (Float32Array | Uint8Array)[],
    use: (arrays: readonly CpuArray[]) => void,
  ): void {
    use(values);
  }

  /** The pool's memory can be shared; an array that the user gave is copied into it. */
  readonly sharedTensors: SharedTensors = {
    inShareableMemory: (tensor) => {
      const values = this.float32(tensor)!;
      if (this.pool.ownersOf(values.buffer) > 0) return tf.clone(tensor);
      const copy = this.allocate(tensor.shape);
      copy.set(values);
      const info = this.makeTensorInfo(tensor.shape, 'float32', copy);
      return tf.engine().makeTensorFromTensorInfo(info);
    },
    sharedValuesOf: (tensor) => this.float32(tensor) as Float32Array<SharedArrayBuffer>,
  };

  pooledBytes(): number {
    const { inUse, waiting } = this.pool.bytes;
    return inUse + waiting;
  }

  isUnshared({ dataId }: tf.TensorInfo): boolean {
    const { values, refCount } = this.data.get(dataId);
    return refCount === 1 && ArrayBuffer.isView(values) && this.pool.ownersOf(values.buffer) === 1;
  }

  override write(values: Values, shape: number[], dtype: tf.DataType): DataId {
    const dataId = {};
    this.move(dataId, values, shape, dtype, 1);
    return dataId;
  }

  override move(
    dataId: DataId,
    values: Values,
    _shape: number[],
    dtype: tf.DataType,
    refCount: number,
  ): void {
    this.data.set(dataId, { values, dtype, refCount });
    if (ArrayBuffer.isView(values)) this.pool.retain(values.buffer);
  }

  override readSync(dataId: DataId): Values {
    const values = super.readSync(dataId);
    const pooled = ArrayBuffer.isView(values) && this.pool.ownersOf(values.buffer) > 0;
    return pooled ? values.slice() : values;
  }

  override disposeData(dataId: DataId, force = false): boolean {
    const values = this.data.has(dataId) ? this.data.get(dataId).values : undefined;
    const gone = super.disposeData(dataId, force);
    if (gone && ArrayBuffer.isView(values)) this.pool.release(values.buffer);
    return gone;
  }

  /** Bytes of the pool's buffers that tensors use and that wait for some; tfjs adds its own counts. */
  override memory(): {
    unreliable: boolean;
    reasons: string[];
    bytesInUse: number;
    bytesWaiting: number;
  } {
    const { inUse, waiting } = this.pool.bytes;
    return { unreliable: false, reasons: [], bytesInUse: inUse, bytesWaiting: waiting };
  }
}
