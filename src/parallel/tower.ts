/**
 * A tower: what a worker thread holds of the network and does with it. The coordinator's other half.
 *
 * A step happens on all workers or on none: `compute` runs forward and backward, and updates only if all workers have
 * found everything finite. Where other hosts take part it changes nothing that lasts, and `commit` updates.
 */
import * as tf from '@tensorflow/tfjs-core';
import { valuesOf } from '../backend/values.js';
import { useBackend } from '../backend/backend.js';
import { describeBackend } from '../backend/describe_backend.js';
import { capabilities } from '../backend/capabilities.js';
import { beforeBackward } from '../backend/tape.js';
import { hostOf } from '../model/hybrid.js';
import type { Invariant, Replicated } from '../model/distribution.js';
import { correctOf, dropoutKeys, forward, lossOf } from '../model/forward.js';
import type { AroundLayer, TrainingPosition } from '../model/forward.js';
import { divideFullyConnected } from '../model/hybrid.js';
import { buildNetwork } from '../model/network.js';
import type { Network } from '../model/network.js';
import { BatchInput } from './batch_input.js';
import { collectivesOver, gatherLabels } from './collectives.js';
import type {
  BatchShare,
  ComputeCommand,
  ComputeReply,
  ForwardCommand,
  InspectReply,
  LogitsReply,
  NotFinitePlace,
  OpenCommand,
  OpenReply,
  Replies,
  SharedBuffers,
  StoreReply,
} from './messages.js';
import { MpiTransport } from './mpi_transport.js';
import { GpuMemoryTransport } from './gpu_memory.js';
import { PeerMemoryTransport } from './peer_memory.js';
import { SlotCopyTransport } from './slot_copies.js';
import { Exchange } from './exchange.js';
import { imagesOfRound } from './round_images.js';
import type { RoundImages } from './round_images.js';
import { RepeatedStep, type StepGradients } from './repeated_step.js';
import { RoundCost } from './round_cost.js';
import { stepTiming } from './step_timing.js';
import type { Instant } from './round_cost.js';
import { Timeline } from './timeline.js';
import { GradientReduction } from './gradient_reduction.js';
import { HeldParameters } from './held_parameters.js';
import { ProcessGroup } from './process_group.js';
import { finiteCheck } from './sgd.js';
import type { UpdateRuleOfRun } from './sgd.js';
import { Verdicts } from './verdict.js';
import { gpuUse, openedGpu } from './worker_gpu.js';

export class Tower {
  readonly parameters: HeldParameters;
  /** null if there is one replica. */
  readonly reduction: GradientReduction | null;
  /** null if no step is recorded: on the CPU, with other hosts, and in a trace of each layer. */
  private readonly repeated: RepeatedStep | null;
  private readonly input: BatchInput;

  private constructor(
    readonly network: Network,
    readonly exchange: Exchange,
    private readonly verdicts: Verdicts,
    private readonly command: OpenCommand,
  ) {
    const { seed, hosts, replicas } = command;
    this.input = new BatchInput(network.input, command);
    this.parameters = new HeldParameters(network, exchange, seed);
    this.reduction =
      replicas && new GradientReduction(new ProcessGroup(replicas), exchange, this.parameters);
    const isOneHost = hosts === null && replicas === null;
    const mayRecord = capabilities().record !== undefined && exchange.timeline === null;
    this.repeated = isOneHost && mayRecord ? new RepeatedStep(exchange) : null;
  }

  /** Chooses the thread's backend and initializes the ranks' parameters. */
  static async open(
    command: OpenCommand,
    { exchange: memory, copies, peers, gpuPlaces }: SharedBuffers,
  ): Promise<{ tower: Tower; reply: OpenReply }> {
    const backend = await useBackend(command);
    const whole = buildNetwork(command.specification, command.towers, command.classes);
    const network = divideFullyConnected(whole, command.fullyConnectedHosts);
    const { worker, workers, hosts } = command;
    const within =
      gpuPlaces !== undefined
        ? new GpuMemoryTransport(gpuPlaces)
        : peers !== undefined
          ? new PeerMemoryTransport(memory!, peers)
          : new SlotCopyTransport(copies!);
    const transport = hosts === null ? within : new MpiTransport(within, copies!, hosts, worker);
    const timer = capabilities().timer ?? null;
    const timeline = command.traced ? new Timeline(workers[worker]![0]!, timer) : null;
    const cost = new RoundCost(timer);
    const exchange = new Exchange(memory!, transport, worker, workers, timeline, cost);
    const tower = new Tower(network, exchange, new Verdicts(memory!, exchange), command);
    const description = describeBackend(backend);
    const reply = {
      backend: description,
      parameters: tower.parameters.count,
      ...openedGpu(command.replicas !== null),
    };
    return { tower, reply };
  }

  /** Runs forward and backward on one share of a batch, and updates if the command says so, else keeps the gradients. */
  compute(command: ComputeCommand, buffers: SharedBuffers): ComputeReply {
    if (!command.accumulates) this.parameters.discard();
    this.exchange.begin(command.sequence);
    const { cost } = this.exchange;
    const began = cost.now();
    const asked = performance.now();
    const round = this.imagesOf(command);
    const { images, labels: own } = this.input.tensors(round.own, buffers);
    const labels = gatherLabels(this.exchange, own, this.network, round.byHost);
    const { of, whole } = command;
    const reduction = whole.first + whole.count === of ? this.reduction : null;
    const anew = (): StepGradients => this.differentiate(images, labels, round, command, reduction);
    const mayRepeat = this.repeated !== null && !command.measurePeak && command.first === 0;
    const position = this.positionOf(command, command.step);
    const keys = () => dropoutKeys(this.network, this.exchange.ranks, position);
    const computed = mayRepeat
      ? this.repeated.compute([images, labels], this.parameters.weights, keys, anew)
      : anew();
    const { forward, gradients } = computed;
    this.parameters.take(reduction === null ? gradients : this.reduced(reduction, gradients));
    this.input.uploadNext(buffers);
    const askingMs = performance.now() - asked;
    const { loss, hits, notFinite, backward } = this.resultOf(computed);
    this.repeated?.took(askingMs, cost.between(began, backward));
    tf.dispose([computed.loss, computed.correct, images, own, labels]);
    const { rule, sequence } = command;
    this.verdicts.give(sequence, notFinite === null);
    const isAgreed = rule !== null && this.verdicts.areAllFinite(sequence);
    const summingMs = reduction?.takeSummingMs() ?? 0;
    const { bytes } = this.exchange;
    const updateMs = isAgreed ? this.commit(rule).updateMs : null;
    this.input.finishUpload();
    return {
      loss,
      correct: hits,
      notFinite,
      timing: {
        ...stepTiming(cost, { began, forward, backward }, summingMs),
        exchangeBytes: bytes,
        ...gpuUse(this.repeated?.note ?? null),
      },
      peakBytes: 0,
      updateMs,
    };
  }

  /** Forward and backward on a batch of this worker's tensors. */
  private differentiate(
    images: Replicated<tf.Tensor4D>,
    labels: tf.Tensor1D,
    round: RoundImages,
    command: ComputeCommand,
    reduction: GradientReduction | null,
  ): StepGradients {
    const { activity, timeline, cost } = this.exchange;
    let correct: tf.Scalar | undefined;
    let forward: Instant | undefined;
    const { value, grads } = tf.variableGrads(() => {
      const logits = this.forward(images, round, this.positionOf(command, command.step));
      timeline?.moveTo('forward loss', 'forward');
      correct = tf.keep(correctOf(logits, labels));
      const mean = lossOf(logits, labels);
      // So the replicas' losses and gradients sum to the means over the batch.
      const loss =
        round.all === command.of ? mean : tf.mul<tf.Scalar>(mean, round.all / command.of);
      reduction?.watchTape();
      activity.moveTo('backward', 'logits');
      timeline?.moveTo('backward loss', 'backward');
      forward = cost.endPhase();
      return loss;
    }, this.parameters.weights);
    return { loss: value, correct: correct!, gradients: grads, forward: forward! };
  }

  /** The gradients' sums over the replicas. */
  private reduced(reduction: GradientReduction, gradients: tf.NamedTensorMap): tf.NamedTensorMap {
    this.exchange.activity.moveTo('waitReplicas', 'logits');
    this.exchange.timeline?.moveTo('wait for other hosts', 'exchange');
    return reduction.finish(gradients);
  }

  /** `compute`, with the peak of tensor memory. If tfjs counts it, it accounts for every kernel, which slows the step. */
  async computeMeasuringPeak(
    command: ComputeCommand,
    buffers: SharedBuffers,
  ): Promise<ComputeReply> {
    let reply: ComputeReply | undefined;
    const work = (): void => void (reply = this.compute(command, buffers));
    const counted = capabilities().peakBytes?.(work);
    const peakBytes = counted ?? (await tf.profile(() => (work(), []))).peakBytes;
    return { ...reply!, peakBytes };
  }

  /** Updates the parameters by the kept gradients. */
  commit(rule: UpdateRuleOfRun): { updateMs: number } {
    const update = (): void => this.parameters.update(rule);
    return { updateMs: this.exchange.cost.timeOf(update, this.command.timed) };
  }

  /**
   * Computes logits.
   *
   * @param step apply the dropout masks of this training step; null leaves dropout off
   */
  logits(command: ForwardCommand & { step: number | null }, buffers: SharedBuffers): LogitsReply {
    this.exchange.begin(command.sequence);
    const round = this.imagesOf(command);
    const training = command.step === null ? null : this.positionOf(command, command.step);
    const logits = valuesOf(() => {
      const { images } = this.input.tensors(round.own, buffers);
      const result = this.forward(images, round, training);
      this.input.uploadNext(buffers);
      return result;
    });
    this.input.finishUpload();
    if (this.network.hosts === 1) return { logits };
    const { classes } = this.network;
    const end = round.before + command.count;
    return { logits: logits.slice(round.before * classes, end * classes) };
  }

  /** Computes logits and the activations that the last layer reads, with dropout off. */
  inspect(command: ForwardCommand, buffers: SharedBuffers): InspectReply {
    this.exchange.begin(command.sequence);
    const round = this.imagesOf(command);
    const last = this.network.layers.at(-1);
    let features = new Float32Array(0);
    const logits = valuesOf(() => {
      const { images } = this.input.tensors(round.own, buffers);
      return this.forward(images, round, null, (layer, _rank, input, compute) => {
        if (layer === last) features = input.dataSync<'float32'>().slice();
        return compute(input);
      });
    });
    return { logits, features };
  }

  private forward(
    images: Replicated<tf.Tensor4D>,
    round: RoundImages,
    training: TrainingPosition | null,
    around: AroundLayer = (_layer, _rank, input, compute) => compute(input),
  ): Invariant<tf.Tensor2D> {
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
    const collectives = collectivesOver(this.exchange, this.network, round.byHost);
    return forward(this.network, this.parameters.ofRanks, collectives, images, training, noting);
  }

  private imagesOf(share: BatchShare): RoundImages {
    return imagesOfRound(share, this.network, hostOf(this.exchange.ranks[0]!, this.network));
  }

  private positionOf({ first, whole }: BatchShare, step: number): TrainingPosition {
    return { seed: this.command.seed, step, first, firstOfHosts: whole.first };
  }

  /**
   * Reads what the device has computed of a step, at once, because a device is idle from each read to the next command.
   *
   * @returns the loss, the number of correct images, the first parameter or gradient that is not finite, else the loss if it is
   *   not, or null if all are finite; and when the device had computed all that
   */
  private resultOf({ loss: value, correct }: StepGradients): {
    loss: number;
    hits: number;
    notFinite: NotFinitePlace | null;
    backward: Instant;
  } {
    this.exchange.activity.moveTo('check', 'logits');
    this.exchange.timeline?.moveTo('check the gradients', 'backward');
    let backward: Instant | undefined;
    const read = valuesOf(() => {
      const scalars = [value, correct, ...this.parameters.checks()];
      const joined = tf.concat(scalars.map((scalar) => tf.reshape<tf.Rank.R1>(scalar, [1])));
      backward = this.exchange.cost.endPhase();
      this.reduction?.settle();
      return joined;
    });
    const [loss = NaN, hits = 0] = read;
    const first = this.parameters.firstNotFinite(read.subarray(2));
    const { length } = this.network.layers;
    const ofLoss = { rank: this.exchange.ranks[0]!, layer: length, of: 'loss' } as const;
    const notFinite = first ?? (Number.isFinite(loss) ? null : ofLoss);
    return { loss, hits, notFinite, backward: backward! };
  }

  /** Repeats the forward pass of training step `step`. @returns the first output that is not finite; null if all are */
  locate(
    command: ForwardCommand & { step: number },
    buffers: SharedBuffers,
  ): NotFinitePlace | null {
    this.exchange.begin(command.sequence);
    const round = this.imagesOf(command);
    const position = this.positionOf(command, command.step);
    let found: NotFinitePlace | null = null;
    tf.tidy(() => {
      const { images } = this.input.tensors(round.own, buffers);
      this.forward(images, round, position, (layer, rank, input, compute) => {
        const output = compute(input);
        if (finiteCheck(output).dataSync<'float32'>()[0] !== 0) {
          found ??= { rank, layer: layer.index, of: 'output' };
        }
        return output;
      });
    });
    return found;
  }

  /** Copies this worker's shares into the shared whole tensors, and says which of them are not finite. */
  store(buffers: SharedBuffers): StoreReply {
    return this.parameters.store(buffers);
  }

  /** Copies this worker's shares from the shared whole tensors. */
  load(buffers: SharedBuffers): void {
    this.parameters.load(buffers);
  }

  memory(): Replies['memory'] {
    const { numTensors, numBytes } = tf.memory();
    const pooledBytes = capabilities().pooledBytes?.() ?? 0;
    return { tensors: numTensors, bytes: numBytes, pooledBytes };
  }
}
