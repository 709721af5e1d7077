/**
 * What a backend of this project may offer beyond tfjs's own interface, and how to ask the calling thread's backend
 * for it. Kernels beyond tfjs's set are asked for one by one: `hasKernel` in own_kernels.ts.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Key } from '../random.js';
import type { ImageViews } from '../image_views.js';

/** Tensors whose values other threads of the process can read where they are. */
export interface SharedTensors {
  /**
   * A float32 tensor of the same values in memory that other threads can share: the same memory if that is
   * shared already, else a copy. The caller disposes it.
   */
  inShareableMemory(tensor: tf.Tensor): tf.Tensor;
  /** The values of a tensor that `inShareableMemory` returned, where they are. */
  sharedValuesOf(tensor: tf.Tensor): Float32Array<SharedArrayBuffer>;
}

/** Where a tensor is in a GPU's memory, and the event that happens once its values are there. */
export interface GpuPlace {
  address: bigint;
  event: bigint;
}

/** Tensors in a GPU's memory that other threads of the process can read where they are. */
export interface GpuTensors {
  /**
   * The place of a float32 tensor, whose values need not be there yet.
   *
   * @param slot each has an event of its own, which is used again when the slot is
   */
  announce(tensor: tf.Tensor, slot: number): GpuPlace;
  /** The tensor that another thread has announced, on the GPU of this ordinal. The caller disposes it. */
  tensorAt(ordinal: number, place: GpuPlace, shape: number[]): tf.Tensor;
}

/** float32 values in a GPU's memory, and memory there for their sum. */
export interface GpuValues {
  /** Addresses. */
  from: bigint;
  to: bigint;
  length: number;
  /** The driver's context of the GPU. */
  context: bigint;
}

/** The values of a tensor while they are summed with those of other processes. */
export interface Summand<SummedValues = Float32Array<SharedArrayBuffer>> {
  /** On the host they are replaced by the sum. */
  readonly values: SummedValues;
  /** One integer, not 0 once the values are there; null if they are. */
  readonly ready: Int32Array<SharedArrayBuffer> | null;
  /** The sum as a tensor, for the caller to dispose. To be called once, when it is there. */
  readonly sum: () => tf.Tensor;
}

/** How a device that works behind the thread gives tensors to be summed. */
export interface Summands {
  /**
   * Begins to copy the values of a float32 tensor to the host once they are computed. The thread does not wait for that. Nobody
   * else may read the tensor from now on, because its memory becomes the sum's. Its owner may dispose it.
   *
   * @param name each has memory of its own on the host, which is used again when the sum of the same name is over
   */
  summandOf(name: string, tensor: tf.Tensor): Summand;
  /** The same of a tensor that is summed where it lies, by an MPI that reads the device's memory. */
  summandOnGpu(tensor: tf.Tensor): Summand<GpuValues>;
  /** @throws what has failed on the device, whose values may never come */
  throwIfFailed(): void;
}

/** A GPU that may take part in sums by NCCL. */
export interface GpuMember {
  uuid: string;
  /** Version of the library; null if it is not found or does not load. */
  nccl: string | null;
}

/** Sums of tensors over processes that have a GPU each, which the GPUs make among themselves: NCCL. */
export interface GpuSums {
  /** This thread's GPU. */
  member(): GpuMember;
  /** Bytes of a group's id. */
  readonly idBytes: number;
  /** Makes up the id of a new group, which all its members must get. */
  makeId(id: Uint8Array): void;
  /** Joins the group with this id; blocks until all `size` members have. */
  join(id: Uint8Array, rank: number, size: number): void;
  /**
   * Begins the sum of a float32 tensor, once it is computed. All members begin the same sums in the same order. Nobody else may read
   * the tensor from now on, because its memory becomes the sum's. Its owner may dispose it.
   *
   * @returns gives the sum for the caller to dispose; what is enqueued from then on waits for it
   */
  begin(tensor: tf.Tensor): () => tf.Tensor;
  /**
   * Waits at most so long for all sums. Reading from the device before would block for good if another member has ended.
   *
   * @throws what NCCL or the device has failed of
   */
  areDone(milliseconds: number): boolean;
  /** For how long sums were under way since the last call, milliseconds. All must be done. */
  takeMs(): number;
}

/** Tells when a device that works behind the thread has come to what the thread asked of it. */
export interface DeviceTimer {
  /** Marks the place after what this thread has enqueued so far. */
  mark(): bigint;
  /** Milliseconds between two marks that the device has passed. */
  elapsedMs(from: bigint, to: bigint): number;
  /** Lets marks be used again. */
  release(marks: readonly bigint[]): void;
  /** Waits until the device has done everything. */
  synchronize(): void;
}

/** Work that is being recorded. */
export interface Recording {
  /**
   * Ends a piece of the work and begins another. Nothing happens between the two yet; each time that the work is repeated, `act`
   * runs there.
   *
   * @param read tensors of the work that `act` gets, in the same place each time
   * @param shapes of the float32 tensors that `act` returns, and which are disposed afterwards
   * @returns what the next piece reads of them
   */
  pause(
    read: readonly tf.Tensor[],
    shapes: readonly number[][],
    act: (read: readonly tf.Tensor[]) => tf.Tensor[],
  ): tf.Tensor[];
}

/** Work of a GPU that is recorded once and repeated at the cost of one call for each of its pieces. */
export interface RecordedWork<Result> {
  /** Number of pieces. */
  readonly pieces: number;
  /** What recording it returned. Its tensors have values once `repeat` was called; they stay the record's. */
  readonly result: Result;
  /**
   * Does the work.
   *
   * @param inputs new values of the recorded inputs, of the same shapes
   * @param keys of the dropout masks, in the order in which they were made
   * @returns false if nothing was done because memory has moved: the work must be recorded again
   */
  repeat(inputs: readonly tf.Tensor[], keys: readonly Key[]): boolean;
  /** Frees all that it holds. The result's tensors must be disposed before. */
  dispose(): void;
}

/** Memory of a GPU, bytes. */
export interface GpuMemory {
  /** What this thread holds, and the most that it may. */
  held: number;
  limit: number;
  /** What nobody holds of the GPU, and what the GPU has. */
  free: number;
  total: number;
}

/** The GPU on which a backend computes. */
export interface ComputingGpu {
  /** As the driver calls it. */
  name: string;
  /** Versions of CUDA that the driver knows, and that the kernels are compiled with. */
  driver: string;
  cuda: string;
  /** The libraries' files. */
  files: string[];
}

/** How bytes become the network's input, for every image. */
export interface ImageNormalization {
  /** From `normalizationTable`. */
  table: Float32Array;
  std: number[];
  /** float32 `[height, width, channels]`, already divided by `std`; null if none is subtracted. */
  meanImage: Float32Array | null;
}

/** Bytes of a batch's images in memory that all threads share. */
export interface DecodedBytes {
  /** uint8 */
  pixels: SharedArrayBuffer;
  /** Differs for all that the process has decoded. */
  serial: number;
}

/** The images of a batch, in memory that all threads share. */
export interface BatchImages {
  /** uint8 [count, height, width, 3]; with `views` of the images' own size, else of the network's input. */
  bytes: Uint8Array;
  views?: ImageViews | undefined;
  /** That of `DecodedBytes`; undefined if the bytes are not uploaded early. */
  serial?: number | undefined;
}

/** Makes the network's input on the device. */
export interface ImageMaker {
  /**
   * The very numbers that `normalizedImages` gives on the CPU for images that are cut and resized there.
   *
   * @param colours float32 `[count, 3]`, added to the normalized image; null for none
   * @param batch its bytes must not change before something is read that was computed of them
   * @param shape `[count, height, width, 3]` of the input
   */
  images(
    batch: BatchImages,
    normalization: ImageNormalization,
    colours: Float32Array | null,
    shape: [number, number, number, number],
  ): tf.Tensor4D;

  /**
   * Begins to upload the bytes of the batch that is likely to be next, while the device does what is enqueued. They must not
   * change until `finishUpload`, and their buffer must be one of a few that are used again and again.
   */
  uploadEarly(decoded: DecodedBytes): void;
  /** Waits for the upload. */
  finishUpload(): void;
}

export interface Capabilities {
  /** Absent if the thread itself computes. */
  timer?: DeviceTimer;
  /**
   * Records what `work` asks of the GPU, which does nothing yet. Absent unless the backend computes on a GPU.
   *
   * @param inputs tensors that it reads, whose values differ each time
   * @param variables tensors that it reads where they are each time
   * @throws what `work` throws, and an Error if it reads values
   */
  record?: <Result>(
    inputs: readonly tf.Tensor[],
    variables: readonly tf.Tensor[],
    work: (recording: Recording) => Result,
  ) => RecordedWork<Result>;
  /** Absent unless the backend computes on a GPU. */
  gpuMemory?: () => GpuMemory;
  /** What this thread holds of it, which costs nothing to ask. */
  heldBytes?: () => number;
  gpu?: () => ComputingGpu;
  /** Names of the kernels that this thread has computed on the host, because the GPU's backend lacks them. */
  kernelsRunOnHost?: () => ReadonlySet<string>;
  /** Absent unless the backend cuts, flips and resizes images. */
  imageMaker?: ImageMaker;
  /** Absent unless the backend computes on a GPU and other threads can read its memory. */
  gpuTensors?: GpuTensors;
  /** Absent unless the backend computes on a GPU and its values can be copied beside its work. */
  summands?: Summands;
  /** Absent unless the backend computes on a GPU of NVIDIA's with the project's own kernels. */
  gpuSums?: GpuSums;
  /** Absent if other threads cannot see the backend's tensors. */
  sharedTensors?: SharedTensors;
  /** Most bytes of tensors that exist at once during `work`; absent if only tfjs counts them. */
  peakBytes?: (work: () => void) => number;
  /** Bytes of memory that the backend holds for tensors and for later ones; absent if it keeps none back. */
  pooledBytes?: () => number;
}

/** Capabilities of the calling thread's backend. */
export function capabilities(): Capabilities {
  return tf.backend() as Capabilities;
}
