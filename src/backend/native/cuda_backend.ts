/**
 * The tfjs backend `native` on an NVIDIA GPU. Values of float32, int32 and bool tensors lie in the GPU's memory, in pooled
 * buffers; those of other types stay in the CPU's.
 *
 * Lifetime of a tensor's memory:
 * - `allocate` returns part of a pooled buffer with the values of an earlier tensor, so a kernel must write all of its output;
 * - the buffer returns to the pool when the last tensor whose data views it is disposed. Work that reads it may still be
 *   enqueued then, but work that writes it again comes later in the same stream;
 * - values that the user gives (`tf.tensor(array)`) are copied to the GPU when a kernel first needs them there.
 */
import * as tf from '@tensorflow/tfjs-core';
import type {
  Capabilities,
  ComputingGpu,
  DeviceTimer,
  GpuMemory,
  GpuSums,
  GpuTensors,
  ImageMaker,
  RecordedWork,
  Recording,
  Summands,
} from '../capabilities.js';
import type { Precision } from '../numerics.js';
import type { CudaAddon, CudaGpu } from './cuda_addon.js';
import { CudaArray, ELEMENT_BYTES } from './cuda_array.js';
import { gpuTensorsOf } from './cuda_exchange.js';
import { recordWork } from './cuda_graph.js';
import { CudaPools } from './cuda_pools.js';
import { timerOf } from './cuda_timer.js';
import { gpuSumsOf } from './cuda_gpu_sums.js';
import { imageMakerOf } from './cuda_images.js';
import { summandsOf } from './cuda_summands.js';
import type { ArrayType, DeviceBackend } from './device_backend.js';
import { kernelsRunOnHost } from './host_fallback.js';

type Values = tf.backend_util.BackendValues;

/** A tensor's values: on the GPU, or as the user or tfjs gave them. */
interface TensorData {
  array?: CudaArray;
  values?: Values;
  dtype: tf.DataType;
  refCount: number;
}

export class CudaBackend
  extends tf.KernelBackend
  implements DeviceBackend<CudaArray>, Capabilities
{
  /** tfjs's CPU kernels ask for it by this name. */
  readonly data: tf.DataStorage<TensorData>;
  readonly gpuTensors: GpuTensors;
  readonly imageMaker: ImageMaker;
  readonly summands: Summands;
  readonly gpuSums: GpuSums;
  readonly timer: DeviceTimer;
  readonly pools: CudaPools;

  /** @param precision of the operands of convolutions and matrix products */
  constructor(
    readonly addon: CudaAddon,
    private readonly ordinal: number,
    readonly precision: Precision,
  ) {
    super();
    this.data = new tf.DataStorage(this, tf.engine());
    this.pools = new CudaPools(addon);
    this.gpuTensors = gpuTensorsOf(this, addon);
    this.timer = timerOf(addon);
    this.imageMaker = imageMakerOf(this, addon);
    this.summands = summandsOf(this, addon);
    this.gpuSums = gpuSumsOf(this, addon, () => this.driversGpu().uuid);
  }

  allocate(shape: readonly number[], dtype: ArrayType = 'float32'): CudaArray {
    const length = tf.util.sizeFromShape(shape as number[]);
    return new CudaArray(this.pools.take(length * ELEMENT_BYTES[dtype]), dtype, 0, length);
  }

  arrayOf({ dataId, dtype }: tf.TensorInfo): CudaArray | undefined {
    const data = this.data.get(dataId);
    if (dtype !== data.dtype || !isArrayType(dtype)) return undefined;
    if (data.array === undefined) {
      const values = typedValues(data.values!, dtype);
      data.array = this.uploaded(values, dtype);
      delete data.values;
    }
    return data.array;
  }

  /** A new array with these values and one owner. */
  private uploaded(values: Float32Array | Int32Array | Uint8Array, dtype: ArrayType): CudaArray {
    const memory = this.pools.takeForValues(values.length * ELEMENT_BYTES[dtype]);
    const array = new CudaArray(memory, dtype, 0, values.length);
    array.write(values);
    return array;
  }

  record<Result>(
    inputs: readonly tf.Tensor[],
    variables: readonly tf.Tensor[],
    work: (recording: Recording) => Result,
  ): RecordedWork<Result> {
    return recordWork(this, inputs, variables, work);
  }

  float32(tensor: tf.TensorInfo): CudaArray | undefined {
    return tensor.dtype === 'float32' ? this.arrayOf(tensor) : undefined;
  }

  slice(array: CudaArray, start: number, end: number): CudaArray {
    return array.slice(start, end);
  }

  withUploaded(
    values: readonly (Float32Array | Uint8Array)[],
    use: (arrays: readonly CudaArray[]) => void,
  ): void {
    const arrays = values.map((given) =>
      this.uploaded(given, given instanceof Uint8Array ? 'bool' : 'float32'),
    );
    use(arrays);
    for (const { memory } of arrays) this.pools.release(memory);
  }

  makeTensorInfo(shape: number[], dtype: tf.DataType, array: CudaArray): tf.TensorInfo {
    const dataId = {};
    this.data.set(dataId, { array, dtype, refCount: 1 });
    this.pools.retain(array.memory);
    return { dataId, shape, dtype };
  }

  pooledBytes(): number {
    const { inUse, waiting } = this.pools.bytes;
    return inUse + waiting;
  }

  peakBytes(work: () => void): number {
    this.pools.forgetPeak();
    work();
    return this.pools.peakBytes;
  }

  gpuMemory(): GpuMemory {
    return this.addon.memory();
  }

  kernelsRunOnHost(): ReadonlySet<string> {
    return kernelsRunOnHost();
  }

  heldBytes(): number {
    return this.addon.heldBytes();
  }

  gpu(): ComputingGpu {
    const { cuda: driver, nvrtc: cuda, ...files } = this.addon.libraries();
    const { name } = this.driversGpu();
    return { name, driver, cuda, files: Object.values(files) };
  }

  private driversGpu(): CudaGpu {
    return this.addon.gpus().find(({ ordinal }) => ordinal === this.ordinal)!;
  }

  isUnshared({ dataId }: tf.TensorInfo): boolean {
    const { array, refCount } = this.data.get(dataId);
    return refCount === 1 && array !== undefined && this.pools.ownersOf(array.memory) === 1;
  }

  override write(values: Values, shape: number[], dtype: tf.DataType): object {
    const dataId = {};
    this.move(dataId, values, shape, dtype, 1);
    return dataId;
  }

  override move(
    dataId: object,
    values: Values,
    _shape: number[],
    dtype: tf.DataType,
    refCount: number,
  ): void {
    this.data.set(dataId, { values, dtype, refCount });
  }

  override readSync(dataId: object): Values {
    const { array, values } = this.data.get(dataId);
    return array?.read() ?? values!;
  }

  override read(dataId: object): Promise<Values> {
    return Promise.resolve(this.readSync(dataId));
  }

  override refCount(dataId: object): number {
    return this.data.has(dataId) ? this.data.get(dataId).refCount : 0;
  }

  override incRef(dataId: object): void {
    this.data.get(dataId).refCount++;
  }

  override disposeData(dataId: object, force = false): boolean {
    if (!this.data.has(dataId)) return true;
    const data = this.data.get(dataId);
    data.refCount--;
    if (!force && data.refCount > 0) return false;
    this.data.delete(dataId);
    if (data.array !== undefined) this.pools.release(data.array.memory);
    return true;
  }

  override numDataIds(): number {
    return this.data.numDataIds();
  }

  override floatPrecision(): 32 {
    return 32;
  }

  override timerAvailable(): boolean {
    return false;
  }

  /** Wall time until the GPU has done what `f` enqueues. */
  override time(f: () => void): Promise<tf.BackendTimingInfo> {
    this.addon.synchronize();
    const start = performance.now();
    f();
    this.addon.synchronize();
    return Promise.resolve({ kernelMs: performance.now() - start });
  }

  /** Bytes of the pool's buffers that tensors use and that wait for some; tfjs adds its own counts. */
  override memory(): {
    unreliable: boolean;
    reasons: string[];
    bytesInUse: number;
    bytesWaiting: number;
  } {
    const { inUse, waiting } = this.pools.bytes;
    return { unreliable: false, reasons: [], bytesInUse: inUse, bytesWaiting: waiting };
  }

  override dispose(): void {
    this.pools.freeWaiting();
  }
}

function isArrayType(dtype: tf.DataType): dtype is ArrayType {
  return dtype in ELEMENT_BYTES;
}

/** Values of the type's own typed array. */
function typedValues(values: Values, dtype: ArrayType): Float32Array | Int32Array | Uint8Array {
  const numbers = values as tf.TypedArray;
  if (dtype === 'float32') {
    return numbers instanceof Float32Array ? numbers : Float32Array.from(numbers);
  }
  if (dtype === 'int32') return numbers instanceof Int32Array ? numbers : Int32Array.from(numbers);
  return numbers instanceof Uint8Array ? numbers : Uint8Array.from(numbers);
}
