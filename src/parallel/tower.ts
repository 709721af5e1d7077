/**
 * What a worker thread does with its ranks' parameters. Lives in `workers/tower.ts`, which hands it the
 * coordinator's commands.
 *
 * A step is two commands. `compute` runs forward and backward and changes nothing that lasts;
 * `commit` updates. So the coordinator can let a step happen on all workers or on none.
 */
import * as tf from '@tensorflow/tfjs';
import { valuesOf } from '../backend/values.js';
import { useBackend } from '../backend/backend.js';
import type { BackendInformation } from '../backend/backend.js';
import { crossEntropy } from '../backend/fused.js';
import type { NativeBackend } from '../backend/native/native_backend.js';
import {
  type ImageNormalization,
  normalizationTable,
  normalizedImages,
} from '../backend/images.js';
import { buildingKernels } from '../backend/kernel_building.js';
import { forward } from '../model/forward.js';
import type { AroundLayer, Collectives, TrainingPosition } from '../model/forward.js';
import { buildNetwork } from '../model/network.js';
import type { Network } from '../model/network.js';
import { collectivesOver } from './collectives.js';
import type {
  CommitCommand,
  ComputeCommand,
  ComputeReply,
  EvaluateReply,
  InspectReply,
  NotFinitePlace,
  OpenCommand,
  OpenReply,
  Replies,
  SharedBuffers,
  StoreReply,
} from './messages.js';
import { PeerMemoryTransport } from './peer_memory.js';
import { SlotCopyTransport } from './slot_copies.js';
import { Exchange } from './slots.js';
import { Timeline } from './timeline.js';
import { HeldParameters } from './held_parameters.js';

export class Tower {
  private readonly collectives: Collectives;
  readonly parameters: HeldParameters;
  /** What was done before, and at which batch size. */
  private readonly met = new Set<string>();

  private constructor(
    private readonly network: Network,
    private readonly exchange: Exchange,
    private readonly seed: number,
    private readonly normalization: ImageNormalization,
  ) {
    this.collectives = collectivesOver(exchange);
    this.parameters = buildingKernels(() => new HeldParameters(network, exchange, seed));
  }

  /** Chooses the thread's backend and initializes the ranks' parameters. */
  static async open(
    command: OpenCommand,
    { exchange: memory, copies, peers }: SharedBuffers,
  ): Promise<{ tower: Tower; reply: OpenReply }> {
    const backend = await useBackend(command);
    const network = buildNetwork(command.specification, command.towers, command.classes);
    const transport =
      peers === undefined
        ? new SlotCopyTransport(copies!)
        : new PeerMemoryTransport(memory!, peers);
    const { worker, workers } = command;
    const timeline = command.traced ? new Timeline(workers[worker]![0]!) : null;
    const tower = new Tower(
      network,
      new Exchange(memory!, transport, worker, workers, timeline),
      command.seed,
      {
        table: normalizationTable(command.mean, command.std),
        std: command.std,
        meanImage: command.meanImage,
      },
    );
    const reply = { backend: describe(backend), parameters: tower.parameters.count };
    return { tower, reply };
  }

  /** What this worker did when; null where it is not traced. */
  get timeline(): Timeline | null {
    return this.exchange.timeline;
  }

  /** Guards the first time that `what` is done: its kernels are built then. */
  private meeting<Result>(what: string, compute: () => Result): Result {
    if (this.met.has(what)) return compute();
    const result = buildingKernels(compute);
    this.met.add(what);
    return result;
  }

  compute(command: ComputeCommand, buffers: SharedBuffers): ComputeReply {
    return this.meeting(`compute ${command.count}`, () => this.computeStep(command, buffers));
  }

  private computeStep(command: ComputeCommand, buffers: SharedBuffers): ComputeReply {
    this.parameters.discard();
    this.exchange.begin(command.sequence);
    const start = performance.now();
    let forwardEnd = start;
    let forwardExchangeMs = 0;
    const { images, labels } = this.batch(command.count, buffers);
    let correct = 0;
    const { value, grads } = tf.variableGrads(() => {
      const logits = this.forward(images, { seed: this.seed, step: command.step });
      this.timeline?.moveTo('forward loss', 'forward');
      correct = correctOf(logits, labels);
      const loss = crossEntropy(logits, labels);
      this.exchange.activity.moveTo('backward', 'logits');
      this.timeline?.moveTo('backward loss', 'backward');
      forwardEnd = performance.now();
      const { copyMs, waitMs } = this.exchange.spent();
      forwardExchangeMs = copyMs + waitMs;
      return loss;
    }, this.parameters.weights);
    this.parameters.take(grads);
    const loss = value.dataSync<'float32'>()[0]!;
    const notFinite = this.firstNotFinite(loss);
    tf.dispose([value, images, labels]);
    const { copyMs, waitMs, bytes } = this.exchange.spent();
    const end = performance.now();
    return {
      loss,
      correct,
      notFinite,
      timing: {
        forwardMs: forwardEnd - start - forwardExchangeMs,
        backwardMs: end - forwardEnd - (copyMs + waitMs - forwardExchangeMs),
        exchangeCopyMs: copyMs,
        exchangeWaitMs: waitMs,
        exchangeBytes: bytes,
      },
      peakBytes: 0,
    };
  }

  /** As `compute`, with the most bytes of tensors alive at once; tfjs keeps account of every kernel, which slows the step. */
  async computeMeasuringPeak(
    command: ComputeCommand,
    buffers: SharedBuffers,
  ): Promise<ComputeReply> {
    let reply: ComputeReply | undefined;
    const profile = await tf.profile(() => {
      reply = this.compute(command, buffers);
      return [];
    });
    return { ...reply!, peakBytes: profile.peakBytes };
  }

  commit(rule: CommitCommand): { updateMs: number } {
    return this.meeting('commit', () => this.update(rule));
  }

  private update(rule: CommitCommand): { updateMs: number } {
    const start = performance.now();
    this.parameters.update(rule);
    return { updateMs: performance.now() - start };
  }

  /** Forward only. @param step null: dropout off; else the masks of that training step */
  evaluate(
    sequence: number,
    count: number,
    step: number | null,
    buffers: SharedBuffers,
  ): EvaluateReply {
    this.exchange.begin(sequence);
    const training = step === null ? null : { seed: this.seed, step };
    const logits = this.meeting(`evaluate ${count}`, () =>
      valuesOf(() => {
        const { images } = this.batch(count, buffers);
        return this.forward(images, training);
      }),
    );
    return { logits };
  }

  /** Forward only, dropout off: logits, and what the last layer reads. */
  inspect(sequence: number, count: number, buffers: SharedBuffers): InspectReply {
    this.exchange.begin(sequence);
    const last = this.network.layers.at(-1);
    return this.meeting(`inspect ${count}`, () => {
      let features = new Float32Array(0);
      const logits = valuesOf(() => {
        const { images } = this.batch(count, buffers);
        const around: AroundLayer = (layer, _rank, input, compute) => {
          if (layer === last) features = input.dataSync<'float32'>().slice();
          return compute(input);
        };
        return this.forward(images, null, around);
      });
      return { logits, features };
    });
  }

  private forward(
    images: tf.Tensor4D,
    training: TrainingPosition | null,
    around: AroundLayer = (_layer, _rank, input, compute) => compute(input),
  ): tf.Tensor2D {
    const { activity, timeline } = this.exchange;
    const noting: AroundLayer = (layer, rank, input, compute) => {
      activity.moveTo('forward', layer.name);
      timeline?.moveTo(`forward ${layer.name}`, 'forward', rank);
      const output = around(layer, rank, input, compute);
      if (timeline !== null) {
        beforeBackward(output, () => timeline.moveTo(`backward ${layer.name}`, 'backward', rank));
      }
      return output;
    };
    return forward(
      this.network,
      this.parameters.ofRanks,
      this.collectives,
      images,
      training,
      noting,
    );
  }

  /** Normalised images `[count, height, width, 3]` and labels `[count]` of a batch of the ring. */
  private batch(
    count: number,
    { pixels, labels, colours }: SharedBuffers,
  ): { images: tf.Tensor4D; labels: tf.Tensor1D } {
    const { height, width, channels } = this.network.input;
    const bytes = new Uint8Array(pixels!, 0, count * height * width * channels);
    const noise = colours === undefined ? null : new Float32Array(colours, 0, count * channels);
    return {
      images: normalizedImages(bytes, this.normalization, noise, [count, height, width, channels]),
      labels: tf.tensor1d(Int32Array.from(new Int32Array(labels!, 0, count)), 'int32'),
    };
  }

  /** Where a gradient, or else the loss, is not finite; null where all are. */
  private firstNotFinite(loss: number): NotFinitePlace | null {
    this.exchange.activity.moveTo('check', 'logits');
    this.timeline?.moveTo('check the gradients', 'backward');
    const first = this.parameters.firstNotFinite();
    if (first !== undefined) return first;
    const { length } = this.network.layers;
    return Number.isFinite(loss) ? null : { rank: this.exchange.ranks[0]!, layer: length };
  }

  /** Forward only, under the masks of training step `step`: the first output that is not finite. */
  locate(
    sequence: number,
    count: number,
    step: number,
    buffers: SharedBuffers,
  ): NotFinitePlace | null {
    this.exchange.begin(sequence);
    let first: NotFinitePlace | null = null;
    tf.tidy(() => {
      const { images } = this.batch(count, buffers);
      this.forward(images, { seed: this.seed, step }, (layer, rank, input, compute) => {
        const output = compute(input);
        // Zero times anything but a number is not a number.
        const sum = tf.sum(tf.mul(output, 0)).dataSync<'float32'>()[0]!;
        if (!Number.isFinite(sum)) first ??= { rank, layer: this.network.layers.indexOf(layer) };
        return output;
      });
    });
    return first;
  }

  /** Copies this worker's shares into the shared canonical tensors. */
  store(buffers: SharedBuffers): StoreReply {
    return this.meeting('store', () => this.parameters.store(buffers));
  }

  /** Copies this worker's shares from the shared canonical tensors. */
  load(buffers: SharedBuffers): void {
    this.meeting('load', () => this.parameters.load(buffers));
  }

  memory(): Replies['memory'] {
    const { numTensors, numBytes, ...ofBackend } = tf.memory();
    const { bytesInUse = 0, bytesWaiting = 0 } = ofBackend as Partial<
      ReturnType<NativeBackend['memory']>
    >;
    return { tensors: numTensors, bytes: numBytes, pooledBytes: bytesInUse + bytesWaiting };
  }
}

/** Has `note` called when the gradient reaches `output`, before it goes back through what made it. */
function beforeBackward(output: tf.Tensor, note: () => void): void {
  // The tape itself, since an operation that only looks would cost each layer two copies and their bookkeeping.
  const node = tf.engine().state.activeTape?.findLast(({ outputs }) => outputs.includes(output));
  if (node?.gradient === undefined) return;
  const { gradient } = node;
  node.gradient = (gradients) => {
    note();
    return gradient(gradients);
  };
}

function correctOf(logits: tf.Tensor2D, labels: tf.Tensor1D): number {
  return tf.tidy<number>(
    () => tf.sum(tf.cast(tf.equal(tf.argMax(logits, 1), labels), 'int32')).dataSync<'int32'>()[0]!,
  );
}

function describe(information: BackendInformation): string {
  const { backend, precision, tensorflow, oneDnn, algorithms, tfjs } = information;
  return [
    tensorflow === null ? backend : `${backend} ${tensorflow}`,
    ...(oneDnn === null ? [] : [`oneDNN ${oneDnn}`]),
    ...(algorithms === null ? [] : [`algorithms ${algorithms}`]),
    ...(precision === 'float32' ? [] : [precision]),
    `tfjs ${tfjs}`,
  ].join(', ');
}
