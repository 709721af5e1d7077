/**
 * The tfjs backend `native`: tfjs's own CPU backend with its values in pooled memory. Every kernel of tfjs works
 * here, and those that a training step spends its time in run in the addon, on the same memory.
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
import * as tf from '@tensorflow/tfjs';
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import type { Capabilities, SharedTensors } from '../capabilities.js';
import type { Precision } from '../numerics.js';
import type { NativeAddon } from './addon.js';
import { BufferPool } from './buffer_pool.js';

/** Key of a tensor's data. */
export type DataId = object;

type Values = tf.backend_util.BackendValues;

/** Tensor types whose values are in one typed array. */
export interface ArrayOf {
  float32: Float32Array;
  int32: Int32Array;
  bool: Uint8Array;
}

export class NativeBackend extends MathBackendCPU implements Capabilities {
  private readonly pool: BufferPool;

  /** @param precision of the operands of convolutions and matrix products */
  constructor(
    readonly addon: NativeAddon,
    readonly precision: Precision,
  ) {
    super();
    this.pool = new BufferPool((bytes) => addon.prepareMemory(bytes));
  }

  /** Memory for a kernel's output. The kernel must write every element, then pass it to `makeTensorInfo`. */
  allocate<Type extends keyof ArrayOf = 'float32'>(
    shape: readonly number[],
    dtype: Type = 'float32' as Type,
  ): ArrayOf[Type] {
    const length = tf.util.sizeFromShape(shape as number[]);
    const buffer = this.pool.take(length * tf.util.bytesPerElement(dtype));
    const start = this.pool.startOf(buffer);
    if (dtype === 'float32') return new Float32Array(buffer, start, length) as ArrayOf[Type];
    if (dtype === 'int32') return new Int32Array(buffer, start, length) as ArrayOf[Type];
    return new Uint8Array(buffer, start, length) as ArrayOf[Type];
  }

  /** A tensor's values in place; undefined unless they are an array of its own type. */
  valuesOf({ dataId, dtype }: tf.TensorInfo): ArrayOf[keyof ArrayOf] | undefined {
    const { values } = this.data.get(dataId);
    if (dtype === 'float32') return values instanceof Float32Array ? values : undefined;
    if (dtype === 'int32') return values instanceof Int32Array ? values : undefined;
    return dtype === 'bool' && values instanceof Uint8Array ? values : undefined;
  }

  /** `valuesOf` a float32 tensor, else undefined. */
  float32(tensor: tf.TensorInfo): Float32Array | undefined {
    const values = this.valuesOf(tensor);
    return values instanceof Float32Array ? values : undefined;
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

  /** Whether no other tensor has this memory, so that a kernel may write to its input. */
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
