/**
 * The tfjs backend `native`: tfjs's own CPU backend with its values in pooled memory, so that every
 * kernel of tfjs works here, and those that a training step spends its time in run in our addon on the
 * same memory. Made by `native.ts`; kernels get it as `backend`.
 *
 * Lifetime of a tensor's memory:
 * - a kernel's output from `output` lies in a pooled buffer, which it must write whole: it holds what an
 *   earlier tensor left;
 * - the buffer goes back to the pool when the last tensor whose data views it is disposed. Kernels must
 *   not keep a view beyond their call;
 * - `read` and `readSync` of pooled memory copy: what they return is the caller's for good;
 * - an array that the user gave (`tf.tensor(array)`) is used where it lies, as by tfjs's CPU backend, and
 *   never enters the pool.
 */
import * as tf from '@tensorflow/tfjs';
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import { BufferPool } from './buffer_pool.js';

/** What stands for a tensor's data. */
export type DataId = object;

type Values = tf.backend_util.BackendValues;

export class NativeBackend extends MathBackendCPU {
  private readonly pool = new BufferPool();

  /** A new tensor, and its values to be written whole. */
  output(shape: number[]): { info: tf.TensorInfo; values: Float32Array } {
    const length = tf.util.sizeFromShape(shape);
    const buffer = this.pool.take(length * Float32Array.BYTES_PER_ELEMENT);
    const values = new Float32Array(buffer, 0, length);
    return { info: this.makeTensorInfo(shape, 'float32', values), values };
  }

  /**
   * A tensor's values where they lie, if they are float32; else undefined: a `float32` tensor may keep
   * the integers that it was cast from.
   */
  float32({ dataId }: tf.TensorInfo): Float32Array | undefined {
    const { values } = this.data.get(dataId);
    return values instanceof Float32Array ? values : undefined;
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
    const pooled = ArrayBuffer.isView(values) && this.pool.has(values.buffer);
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
