/**
 * The coordinator: has one thread a placement entry (`tower_threads.ts`), holds the shared memory through which they
 * exchange, and runs synchronized steps that happen on every rank or on none. Lives in the main
 * thread; the trainer and `compare` drive it.
 *
 *     compute on all workers → all finite? → commit on all workers
 *
 * A worker that fails, ends or hangs ends every other worker's waiting at once; the coordinator is of no
 * more use then, and says which worker, where and why (`WorkerFailure`).
 */
import { prepareWorkers, sharesTensors } from '../backend/backend.js';
import type { BackendName } from '../backend/backend.js';
import type { Precision } from '../backend/numerics.js';
import type { Configuration } from '../configuration.js';
import { UserError } from '../errors.js';
import { buildNetwork } from '../model/network.js';
import type { Network } from '../model/network.js';
import { CoordinatorTrace } from './coordinator_trace.js';
import type {
  ComputeReply,
  InspectReply,
  NotFinitePlace,
  OpenCommand,
  OpenReply,
  Replies,
  StepTiming,
} from './messages.js';
import type { Placement } from './placement.js';
import { connectPeers } from './peer_memory.js';
import { allocateSlotCopies } from './slot_copies.js';
import { allocateExchangeMemory } from './slots.js';
import { TowerThreads } from './tower_threads.js';
import type { TraceGroup } from '../report/trace.js';

/** One mini-batch where it lies in shared memory; see `src/data/batches.ts`. */
export interface SharedBatch {
  pixels: SharedArrayBuffer;
  labels: SharedArrayBuffer;
  colours?: SharedArrayBuffer | undefined;
  count: number;
}

/** Canonical whole tensors by parameter name, float32, in shared memory. */
export interface SharedParameters {
  parameters: Record<string, SharedArrayBuffer>;
  velocities: Record<string, SharedArrayBuffer>;
}

/** A worker's parts of a step, milliseconds. */
export interface StepTimingWithUpdate extends StepTiming {
  updateMs: number;
}

export interface StepResult {
  /** Mean over the batch, nats. */
  loss: number;
  /** Share of the batch whose largest logit is the label's. */
  accuracy: number;
  /** Wall time of compute and commit, milliseconds. */
  stepMs: number;
  /** Of each worker. */
  timings: StepTimingWithUpdate[];
  /** Of each worker; 0 unless measured. */
  peakBytes: number[];
}

/** Loss or a gradient was not finite on some rank: no rank was updated. */
export class NotFiniteError extends UserError {
  constructor(
    message: string,
    readonly rank: number,
    /** Where it first appeared; null: in the loss alone. */
    readonly layer: string | null,
  ) {
    super(message);
  }
}

export interface CoordinatorOptions {
  configuration: Configuration;
  towers: number;
  placement: Placement;
  backend: BackendName;
  /** float32 unless given. */
  precision?: Precision;
  /** Without it, as for noise, a mean that is had from the data's images is 0.5. */
  normalization?: Pick<OpenCommand, 'mean' | 'std' | 'meanImage'>;
  /** Largest batch that will be computed or evaluated. */
  batch: number;
  /** Milliseconds in which no worker moves on, after which one is taken to hang; 5 minutes unless given. */
  exchangeTimeoutMs?: number | undefined;
  /** Gets a track of each rank and one of the coordinator. */
  trace?: TraceGroup | undefined;
}

export class Coordinator {
  private sequence = 0;
  /** The step begun last. */
  private lastStep: number | null = null;

  private constructor(
    readonly network: Network,
    readonly placement: Placement,
    /** What each worker said when it opened. */
    readonly workers: OpenReply[],
    private readonly threads: TowerThreads,
    private readonly trace: CoordinatorTrace,
  ) {}

  /** Starts the workers and initializes their parameters from the configuration's seed. */
  static async open({
    configuration,
    towers,
    placement,
    backend,
    precision = 'float32',
    normalization = normalizationOfNoise(configuration),
    batch,
    exchangeTimeoutMs,
    trace,
  }: CoordinatorOptions): Promise<Coordinator> {
    const network = buildNetwork(configuration.network, towers, configuration.data.classes);
    const ranks = placement.map((worker) => worker.ranks);
    const exchange = allocateExchangeMemory(network, ranks, batch);
    const shares = sharesTensors(backend);
    const connections = shares ? connectPeers(exchange, ranks.length) : undefined;
    const copies = shares ? undefined : allocateSlotCopies(exchange);
    prepareWorkers(backend);
    trace?.declare(['coordinator', ...ranks.flat().map((rank) => `rank ${rank}`)]);
    const threads = new TowerThreads(placement, exchange, exchangeTimeoutMs);
    const coordinatorTrace = new CoordinatorTrace(trace, threads);
    const coordinator = new Coordinator(network, placement, [], threads, coordinatorTrace);
    try {
      const replies = await coordinator.threads.all(
        'open',
        (worker) => ({
          kind: 'open',
          specification: configuration.network,
          towers,
          classes: configuration.data.classes,
          workers: ranks,
          worker,
          backend,
          precision,
          device: placement[worker]!.device,
          threads: placement[worker]!.threads,
          seed: configuration.training.seed,
          ...normalization,
          traced: trace !== undefined,
        }),
        (worker) => ({
          exchange,
          ...(copies && { copies }),
          ...(connections && { peers: connections[worker]! }),
        }),
      );
      coordinator.workers.push(...replies);
      return coordinator;
    } catch (error) {
      await coordinator.close();
      throw error;
    }
  }

  /**
   * One synchronized step.
   *
   * @param step number of this step, from 1
   * @throws NotFiniteError where loss or gradients are not finite; the parameters stay as they were
   */
  async step(
    step: number,
    batch: SharedBatch,
    rule: UpdateRuleOfRun,
    measurePeak = false,
  ): Promise<StepResult> {
    return this.trace.whole(`step ${step}`, () =>
      this.computeAndCommit(step, batch, rule, measurePeak),
    );
  }

  private async computeAndCommit(
    step: number,
    batch: SharedBatch,
    rule: UpdateRuleOfRun,
    measurePeak: boolean,
  ): Promise<StepResult> {
    const start = performance.now();
    this.threads.doing = `at step ${step}`;
    this.lastStep = step;
    const computed = await this.trace.part('compute', () => this.compute(step, batch, measurePeak));
    const committed = await this.trace.part('commit', () =>
      this.threads.all('commit', () => ({ kind: 'commit', ...rule })),
    );
    return {
      loss: computed[0]!.loss,
      accuracy: computed[0]!.correct / batch.count,
      stepMs: performance.now() - start,
      timings: computed.map(({ timing }, worker) => ({
        ...timing,
        updateMs: committed[worker]!.updateMs,
      })),
      peakBytes: computed.map(({ peakBytes }) => peakBytes),
    };
  }

  /** Forward and backward on every worker; the gradients stay there until `commit`, `discard` or the next `compute`. */
  private async compute(
    step: number,
    batch: SharedBatch,
    measurePeak: boolean,
  ): Promise<ComputeReply[]> {
    const sequence = ++this.sequence;
    const replies = await this.threads.all(
      'compute',
      () => ({
        kind: 'compute',
        step,
        sequence,
        count: batch.count,
        measurePeak,
      }),
      () => memoryOf(batch),
    );
    const places = replies.flatMap(({ notFinite }) => notFinite ?? []);
    if (places.length === 0) return replies;
    await this.discard();
    throw await this.explainNotFinite(step, batch, places);
  }

  /** Names the first parameter that is not finite, else the first output, else the first gradient. */
  private async explainNotFinite(
    step: number,
    batch: SharedBatch,
    found: NotFinitePlace[],
  ): Promise<NotFiniteError> {
    const sequence = ++this.sequence;
    const outputs = await this.threads.all(
      'locate',
      () => ({ kind: 'locate', sequence, count: batch.count, step }),
      () => memoryOf(batch),
    );
    const { layers } = this.network;
    const [output] = outputs.flatMap((place) => place ?? []).sort((a, b) => a.layer - b.layer);
    const [parameter] = found
      .filter((place) => place.of === 'parameter')
      .sort((a, b) => a.layer - b.layer);
    const [gradient] = found.sort((a, b) => b.layer - a.layer);
    const { rank, layer, of } = parameter ?? output ?? gradient!;
    const name = layers[layer]?.name ?? null;
    const what = name === null ? 'the loss' : `the ${of} of ${name} on rank ${rank}`;
    return new NotFiniteError(
      `step ${step}: ${what} is not finite; the parameters stay at step ${step - 1}: ` +
        'lower --lr, check the data, or leave such batches out with --skip-nonfinite',
      rank,
      name,
    );
  }

  /** Logits of one batch, `[count, classes]`: dropout off, or under a training step's dropout masks. */
  async evaluate(batch: SharedBatch, step: number | null = null): Promise<Float32Array> {
    const sequence = ++this.sequence;
    this.threads.doing = `in the test${this.position(' after')}`;
    const replies = await this.trace.whole('test', () =>
      this.threads.all(
        'evaluate',
        () => ({ kind: 'evaluate', sequence, count: batch.count, step }),
        () => memoryOf(batch),
      ),
    );
    return replies[0]!.logits;
  }

  /** Logits and last hidden activations of one batch, dropout off. */
  async inspect(batch: SharedBatch): Promise<InspectReply> {
    const sequence = ++this.sequence;
    this.threads.doing = 'in an inspection';
    const replies = await this.threads.all(
      'inspect',
      () => ({ kind: 'inspect', sequence, count: batch.count }),
      () => memoryOf(batch),
    );
    return replies[0]!;
  }

  /** Copies all parameters and velocities out, in canonical form. */
  async store(): Promise<SharedParameters> {
    const shared = this.allocateParameters();
    this.threads.doing = `in the checkpoint${this.position(' of')}`;
    await this.trace.whole('store', () =>
      this.threads.all(
        'store',
        () => ({ kind: 'store' }),
        () => shared,
      ),
    );
    return shared;
  }

  /** Replaces all parameters and velocities by canonical ones. */
  async load(shared: SharedParameters): Promise<void> {
    await this.threads.all(
      'load',
      () => ({ kind: 'load' }),
      () => shared,
    );
  }

  /** Zeroed canonical tensors for this network. */
  allocateParameters(): SharedParameters {
    const allocate = (): Record<string, SharedArrayBuffer> =>
      Object.fromEntries(
        this.network.parameters.map(({ name, shape }) => [
          name,
          new SharedArrayBuffer(shape.reduce((product, extent) => product * extent, 4)),
        ]),
      );
    return { parameters: allocate(), velocities: allocate() };
  }

  /**
   * Forward and backward without an update: the norm of each parameter's gradient. The gradients stay on the workers,
   * for `perturb`, until `discard`.
   *
   * @throws NotFiniteError where loss or gradients are not finite
   */
  async computeGradientNorms(step: number, batch: SharedBatch): Promise<Record<string, number>> {
    await this.compute(step, batch, false);
    const squares = await this.threads.all('gradientSquares', () => ({ kind: 'gradientSquares' }));
    return Object.fromEntries(
      this.network.parameters.map(({ name }) => [
        name,
        Math.sqrt(squares.reduce((sum, worker) => sum + worker[name]!, 0)),
      ]),
    );
  }

  /** Adds `scale` times its gradient to the parameter of this name. */
  async perturb(parameter: string, scale: number): Promise<void> {
    await this.threads.all('perturb', () => ({ kind: 'perturb', parameter, scale }));
  }

  /** Frees the gradients of the batch computed last. */
  async discard(): Promise<void> {
    await this.threads.all('discard', () => ({ kind: 'discard' }));
  }

  /** For the message of a failure; empty before the first step. */
  private position(preposition: string): string {
    return this.lastStep === null ? '' : `${preposition} step ${this.lastStep}`;
  }

  async memory(): Promise<Replies['memory'][]> {
    return this.threads.all('memory', () => ({ kind: 'memory' }));
  }

  async close(): Promise<void> {
    try {
      await this.trace.finish();
    } finally {
      await this.threads.close();
    }
  }
}

/** What the workers read of a batch; the rest goes with the command. */
function memoryOf({ pixels, labels, colours }: SharedBatch): Omit<SharedBatch, 'count'> {
  return { pixels, labels, colours };
}

function normalizationOfNoise({
  data: { mean, std },
}: Configuration): Pick<OpenCommand, 'mean' | 'std' | 'meanImage'> {
  return { mean: typeof mean === 'string' ? [0.5, 0.5, 0.5] : mean, std, meanImage: null };
}

/** The run's part of the update rule; parameters multiply it by their own multipliers. */
export interface UpdateRuleOfRun {
  learningRate: number;
  momentum: number;
  weightDecay: number;
}
