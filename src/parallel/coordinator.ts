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
import { prepareWorkers } from '../backend/backend.js';
import type { BackendName, Precision } from '../backend/backend.js';
import type { Configuration } from '../configuration.js';
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
} from './messages.js';
import type { Placement } from './placement.js';
import { connectPeers } from './peer_memory.js';
import { NotFiniteParameters, allocateTensors, firstNotFinite } from './shared_parameters.js';
import type { SharedParameters } from './shared_parameters.js';
import { allocateSlotCopies } from './slot_copies.js';
import { allocateExchangeMemory } from './slots.js';
import { NotFiniteError, explainNotFinite } from './step_outcome.js';
import type { StepOutcome } from './step_outcome.js';
import { TowerThreads } from './tower_threads.js';
import type { TraceGroup } from '../report/trace.js';

/** One mini-batch where it lies in shared memory; see `src/data/batches.ts`. */
export interface SharedBatch {
  pixels: SharedArrayBuffer;
  labels: SharedArrayBuffer;
  colours?: SharedArrayBuffer | undefined;
  count: number;
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
  /** The step begun last; null before the first. */
  private currentStep: number | null = null;
  /** The memory that `store` fills. */
  private stored: SharedParameters | null = null;

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
    // Only the native backend's tensors lie where other threads can read them.
    const connections = backend === 'native' ? connectPeers(exchange, ranks.length) : undefined;
    const copies = backend === 'native' ? undefined : allocateSlotCopies(exchange);
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
   * Takes one synchronized step, on every rank or on none.
   *
   * @param step number of this step, from 1
   * @param measurePeak also measure the peak of tensor memory, which slows the step
   * @returns the step's result, or why no parameter has changed
   * @throws WorkerFailure
   */
  async step(
    step: number,
    batch: SharedBatch,
    rule: UpdateRuleOfRun,
    measurePeak = false,
  ): Promise<StepOutcome> {
    return this.trace.whole(`step ${step}`, () =>
      this.computeAndCommit(step, batch, rule, measurePeak),
    );
  }

  private async computeAndCommit(
    step: number,
    batch: SharedBatch,
    rule: UpdateRuleOfRun,
    measurePeak: boolean,
  ): Promise<StepOutcome> {
    const start = performance.now();
    this.threads.doing = `at step ${step}`;
    this.currentStep = step;
    const computed = await this.trace.part('compute', () => this.compute(step, batch, measurePeak));
    if (computed instanceof NotFiniteError) return { finite: false, error: computed };
    const committed = await this.trace.part('commit', () =>
      this.threads.all('commit', () => ({ kind: 'commit', ...rule })),
    );
    return {
      finite: true,
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

  /**
   * Runs forward and backward on every worker. The gradients stay there until `commit`, `discard` or the next
   * `compute`; if one is not finite, they are discarded.
   */
  private async compute(
    step: number,
    batch: SharedBatch,
    measurePeak: boolean,
  ): Promise<ComputeReply[] | NotFiniteError> {
    const sequence = ++this.sequence;
    const { count } = batch;
    const replies = await this.threads.all(
      'compute',
      () => ({ kind: 'compute', step, sequence, count, measurePeak }),
      () => buffersOf(batch),
    );
    const gradients = replies.flatMap(({ notFinite }) => notFinite ?? []);
    if (gradients.length === 0) return replies;
    await this.discard();
    const outputs = await this.locateNotFinite(step, batch);
    return explainNotFinite(this.network, step, outputs, gradients);
  }

  /** Repeats the forward pass of a step to find each worker's first output that is not finite. */
  private async locateNotFinite(step: number, batch: SharedBatch): Promise<NotFinitePlace[]> {
    const sequence = ++this.sequence;
    const places = await this.threads.all(
      'locate',
      () => ({ kind: 'locate', sequence, count: batch.count, step }),
      () => buffersOf(batch),
    );
    return places.flatMap((place) => place ?? []);
  }

  /** Logits of one batch, `[count, classes]`: dropout off, or under a training step's dropout masks. */
  async evaluate(batch: SharedBatch, step: number | null = null): Promise<Float32Array> {
    const sequence = ++this.sequence;
    this.threads.doing = `in the test${this.position(' after')}`;
    const replies = await this.trace.whole('test', () =>
      this.threads.all(
        'evaluate',
        () => ({ kind: 'evaluate', sequence, count: batch.count, step }),
        () => buffersOf(batch),
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
      () => buffersOf(batch),
    );
    return replies[0]!;
  }

  /**
   * Copies all parameters and momentum buffers out of the workers.
   *
   * @returns the coordinator's one buffer, valid until the next `store`
   * @throws NotFiniteParameters if a parameter or a momentum buffer is not finite: training has diverged
   */
  async store(): Promise<SharedParameters> {
    const shared = (this.stored ??= {
      parameters: allocateTensors(this.network),
      velocities: allocateTensors(this.network),
    });
    this.threads.doing = `in the checkpoint${this.position(' of')}`;
    const replies = await this.trace.whole('store', () =>
      this.threads.all(
        'store',
        () => ({ kind: 'store' }),
        () => shared,
      ),
    );
    const tensor = firstNotFinite(
      this.network,
      replies.map(({ notFinite }) => notFinite),
    );
    if (tensor !== undefined) throw new NotFiniteParameters(tensor, this.currentStep);
    return shared;
  }

  /**
   * Replaces all parameters and momentum buffers.
   *
   * @param parameters whole tensors of this network. The coordinator keeps them: the next `store` overwrites them.
   * @param velocities momentum buffers, kept too (default zero)
   */
  async load({
    parameters,
    velocities = allocateTensors(this.network),
  }: Pick<SharedParameters, 'parameters'> & Partial<SharedParameters>): Promise<void> {
    const shared = { parameters, velocities };
    this.stored = shared;
    await this.threads.all(
      'load',
      () => ({ kind: 'load' }),
      () => shared,
    );
  }

  /**
   * Forward and backward without an update: the norm of each parameter's gradient. The gradients stay on the workers,
   * for `perturb`, until `discard`.
   *
   * @throws NotFiniteError where loss or gradients are not finite
   */
  async computeGradientNorms(step: number, batch: SharedBatch): Promise<Record<string, number>> {
    const computed = await this.compute(step, batch, false);
    if (computed instanceof NotFiniteError) throw computed;
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
    return this.currentStep === null ? '' : `${preposition} step ${this.currentStep}`;
  }

  async memory(): Promise<Replies['memory'][]> {
    return this.threads.all('memory', () => ({ kind: 'memory' }));
  }

  /** Whether a worker has failed: its parameters are lost, and the coordinator is of no more use. */
  get hasFailed(): boolean {
    return this.threads.haveFailed;
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
function buffersOf({ pixels, labels, colours }: SharedBatch): Omit<SharedBatch, 'count'> {
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
  /** By parameter's name, in place of the network's own multipliers of the learning rate. */
  multipliers?: Record<string, number>;
  momentum: number;
  weightDecay: number;
}
