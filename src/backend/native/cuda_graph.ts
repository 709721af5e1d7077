/**
 * Work of a GPU that is recorded once and repeated: CUDA graphs, one for each piece of the work. What lies between two pieces is
 * done anew each time, and what it brings is copied to where the next piece reads it.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Key } from '../../random.js';
import type { RecordedWork, Recording } from '../capabilities.js';
import type { CudaAddon, CudaGraph } from './cuda_addon.js';
import type { CudaArray } from './cuda_array.js';
import type { CudaPools } from './cuda_pools.js';
import type { DeviceBackend } from './device_backend.js';

/** What recording needs of the backend. */
interface Recorder extends Pick<
  DeviceBackend<CudaArray>,
  'allocate' | 'arrayOf' | 'makeTensorInfo'
> {
  readonly addon: CudaAddon;
  readonly pools: CudaPools;
}

/** `Capabilities.record`. */
export function recordWork<Result>(
  backend: Recorder,
  inputs: readonly tf.Tensor[],
  variables: readonly tf.Tensor[],
  work: (recording: Recording) => Result,
): RecordedWork<Result> {
  const { addon, pools } = backend;
  const pieces = new Pieces(backend, inputs);
  const places = variables.map((variable) => backend.arrayOf(variable)!);
  addon.beginGraph();
  pools.startReserving();
  let result: Result | undefined;
  try {
    result = work(pieces);
    pieces.end();
  } catch (error) {
    addon.abandonGraph();
    pieces.dispose();
    tf.dispose(result as tf.TensorContainer);
    pools.stopReserving()();
    throw error;
  }
  const free = pools.stopReserving();
  return {
    result,
    pieces: pieces.count,
    repeat: (values, keys) =>
      variables.every((variable, index) => backend.arrayOf(variable) === places[index]) &&
      pieces.repeat(values, wordsOf(keys)),
    dispose: () => {
      pieces.dispose();
      free();
    },
  };
}

class Pieces implements Recording {
  private readonly graphs: CudaGraph[] = [];
  /** What is done after each piece but the last. */
  private readonly pauses: (() => void)[] = [];
  /** Tensors that the pieces read or leave in the same place each time. */
  private readonly kept: tf.Tensor[];
  private readonly inputs: readonly CudaArray[];

  constructor(
    private readonly backend: Recorder,
    inputs: readonly tf.Tensor[],
  ) {
    this.kept = inputs.map(keptClone);
    this.inputs = this.kept.map((input) => backend.arrayOf(input)!);
  }

  get count(): number {
    return this.graphs.length;
  }

  pause(
    read: readonly tf.Tensor[],
    shapes: readonly number[][],
    act: (read: readonly tf.Tensor[]) => tf.Tensor[],
  ): tf.Tensor[] {
    const left = read.map(keptClone);
    this.kept.push(...left);
    this.end();
    this.backend.addon.beginGraph();
    const brought = shapes.map((shape) => this.backend.allocate(shape));
    this.pauses.push(() => tf.tidy(() => this.copy(act(left), brought)));
    return brought.map((array, index) => {
      const info = this.backend.makeTensorInfo(shapes[index]!, 'float32', array);
      return tf.engine().makeTensorFromTensorInfo(info);
    });
  }

  /** Ends the piece that is being recorded. */
  end(): void {
    this.graphs.push(this.backend.addon.endGraph());
  }

  /** @returns false if nothing was done because scratch memory has moved */
  repeat(values: readonly tf.Tensor[], keys: Int32Array): boolean {
    const { addon } = this.backend;
    this.copy(values, this.inputs);
    let first = 0;
    for (const [index, graph] of this.graphs.entries()) {
      const end = first + addon.keyWordsOf(graph);
      const isDone = addon.repeatGraph(graph, keys.subarray(first, end));
      if (!isDone && index === 0) return false;
      if (!isDone) throw new Error('scratch memory has moved in the middle of a repeated step');
      this.pauses[index]?.();
      first = end;
    }
    return true;
  }

  dispose(): void {
    for (const graph of this.graphs) this.backend.addon.freeGraph(graph);
    tf.dispose(this.kept);
  }

  /** Each pair is of one type and length. */
  private copy(from: readonly tf.Tensor[], to: readonly CudaArray[]): void {
    from.forEach((tensor, index) => {
      const [array, place] = [this.backend.arrayOf(tensor)!, to[index]!];
      const { length } = array;
      this.backend.addon.copyBox(array, [length], [0], place, [place.length], [0], [length]);
    });
  }
}

function keptClone(tensor: tf.Tensor): tf.Tensor {
  return tf.keep(tf.clone(tensor));
}

function wordsOf(keys: readonly Key[]): Int32Array {
  return Int32Array.from(keys.flatMap((key) => [...key]));
}
