/**
 * The coordinator: starts one thread a placement entry, holds the shared memory through which they
 * exchange, and runs synchronized steps that happen on every rank or on none. Lives in the main
 * thread; the trainer and `compare` drive it.
 *
 *     compute on all workers → all finite? → commit on all workers
 *
 * A worker that fails ends every other worker's waiting at once, and its error is the one reported.
 */
import { Piscina } from 'piscina';
import { prepareWorkers } from '../backend/backend.js';
import type { BackendName, Precision } from '../backend/backend.js';
import type { Configuration } from '../configuration.js';
import { UserError, messageOf } from '../errors.js';
import { buildNetwork } from '../model/network.js';
import type { Network } from '../model/network.js';
import { decodeReply, encodeCommand, transferListOf } from './messages.js';
import type {
  Command,
  ComputeReply,
  EvaluateReply,
  InspectReply,
  OpenReply,
  Replies,
  SharedBuffers,
  StepTiming,
} from './messages.js';
import type { Placement } from './placement.js';
import { connectPeers } from './peer_memory.js';
import { allocateSlotCopies } from './slot_copies.js';
import { abortExchange, allocateExchangeMemory } from './slots.js';
import type { ExchangeMemory } from './slots.js';

/** One mini-batch where it lies in shared memory; see `src/data/batches.ts`. */
export interface SharedBatch {
  pixels: SharedArrayBuffer;
  labels: SharedArrayBuffer;
  count: number;
}

/** Canonical whole tensors by parameter name, float32, in shared memory. */
export interface SharedParameters {
  parameters: Record<string, SharedArrayBuffer>;
  velocities: Record<string, SharedArrayBuffer>;
}

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
export class NotFiniteError extends UserError {}

/** The first exchange also waits for the others' start: libraries load and kernels are chosen. */
const EXCHANGE_TIME_LIMIT_MS = 5 * 60 * 1000;

/** Least change of the loss, as a share of it, by a finite difference: some hundred times float32's rounding. */
const LOSS_CHANGE = 1e-5;

export interface CoordinatorOptions {
  configuration: Configuration;
  towers: number;
  placement: Placement;
  backend: BackendName;
  /** float32 unless given. */
  precision?: Precision;
  /** Largest batch that will be computed or evaluated. */
  batch: number;
}

export class Coordinator {
  private sequence = 0;

  private constructor(
    readonly network: Network,
    readonly placement: Placement,
    /** What each worker said when it opened. */
    readonly workers: OpenReply[],
    private readonly pools: Piscina[],
    private readonly exchange: ExchangeMemory,
  ) {}

  /** Starts the workers and initializes their parameters from the configuration's seed. */
  static async open({
    configuration,
    towers,
    placement,
    backend,
    precision = 'float32',
    batch,
  }: CoordinatorOptions): Promise<Coordinator> {
    const network = buildNetwork(configuration.network, towers, configuration.data.classes);
    const ranks = placement.map((worker) => worker.ranks);
    const exchange = allocateExchangeMemory(network, ranks, batch);
    prepareWorkers(backend);
    const pools = placement.map(() => startThread());
    const coordinator = new Coordinator(network, placement, [], pools, exchange);
    // Only the native backend's tensors lie where other threads can read them.
    const connections = backend === 'native' ? connectPeers(exchange, ranks.length) : undefined;
    const copies = backend === 'native' ? undefined : allocateSlotCopies(exchange);
    const replies = await coordinator.all(
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
        timeLimitMs: EXCHANGE_TIME_LIMIT_MS,
        seed: configuration.training.seed,
        mean: configuration.data.mean,
        std: configuration.data.std,
      }),
      (worker) => ({
        exchange,
        ...(copies && { copies }),
        ...(connections && { peers: connections[worker]! }),
      }),
    );
    coordinator.workers.push(...replies);
    return coordinator;
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
    const start = performance.now();
    const computed = await this.compute(step, batch, measurePeak);
    const committed = await this.all('commit', () => ({ kind: 'commit', ...rule }));
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
    const replies = await this.all(
      'compute',
      () => ({
        kind: 'compute',
        step,
        sequence,
        count: batch.count,
        measurePeak,
      }),
      () => ({ pixels: batch.pixels, labels: batch.labels }),
    );
    const bad = replies.findIndex(({ notFinite }) => notFinite !== null);
    if (bad >= 0) {
      await this.all('discard', () => ({ kind: 'discard' }));
      const { notFinite } = replies[bad]!;
      throw new NotFiniteError(
        `step ${step}: ${notFinite === 'loss' ? 'the loss' : `the gradient of ${notFinite}`} is not finite on rank ` +
          `${this.placement[bad]!.ranks.join(',')}; the parameters stay at step ${step - 1}: lower --lr or check the data`,
      );
    }
    return replies;
  }

  /** Sums over one batch, dropout off; or the loss under a training step's dropout masks. */
  async evaluate(batch: SharedBatch, step: number | null = null): Promise<EvaluateReply> {
    const sequence = ++this.sequence;
    const replies = await this.all(
      'evaluate',
      () => ({
        kind: 'evaluate',
        sequence,
        count: batch.count,
        step,
      }),
      () => ({ pixels: batch.pixels, labels: batch.labels }),
    );
    return replies[0]!;
  }

  /** Logits and last hidden activations of one batch, dropout off. */
  async inspect(batch: SharedBatch): Promise<InspectReply> {
    const sequence = ++this.sequence;
    const replies = await this.all(
      'inspect',
      () => ({ kind: 'inspect', sequence, count: batch.count }),
      () => ({ pixels: batch.pixels, labels: batch.labels }),
    );
    return replies[0]!;
  }

  /** Copies all parameters and velocities out, in canonical form. */
  async store(): Promise<SharedParameters> {
    const shared = this.allocateParameters();
    await this.all(
      'store',
      () => ({ kind: 'store' }),
      () => shared,
    );
    return shared;
  }

  /** Replaces all parameters and velocities by canonical ones. */
  async load(shared: SharedParameters): Promise<void> {
    await this.all(
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
   * The gradient of one batch against finite differences, a parameter tensor at a time: along the
   * gradient's own direction the loss must change by the gradient's norm.
   *
   * @param epsilon length of the move; longer where the loss would not change enough to be seen
   */
  async checkGradients(batch: SharedBatch, epsilon: number): Promise<GradientCheck[]> {
    const step = 1;
    const loss = (await this.compute(step, batch, false))[0]!.loss;
    const squares = await this.all('gradientSquares', () => ({ kind: 'gradientSquares' }));
    const checks: GradientCheck[] = [];
    for (const { name } of this.network.parameters) {
      const analytic = Math.sqrt(squares.reduce((sum, worker) => sum + worker[name]!, 0));
      if (analytic === 0) {
        checks.push({ parameter: name, analytic, numeric: 0, relativeError: Number.NaN });
        continue;
      }
      const length = Math.max(epsilon, (LOSS_CHANGE * loss) / analytic);
      const scale = length / analytic;
      const move = (by: number): Promise<unknown> =>
        this.all('perturb', () => ({ kind: 'perturb', parameter: name, scale: by }));
      await move(scale);
      const above = (await this.evaluate(batch, step)).lossSum / batch.count;
      await move(-2 * scale);
      const below = (await this.evaluate(batch, step)).lossSum / batch.count;
      await move(scale);
      const numeric = (above - below) / (2 * length);
      const relativeError = Math.abs(numeric - analytic) / Math.max(Math.abs(numeric), analytic);
      checks.push({ parameter: name, analytic, numeric, relativeError });
    }
    await this.all('discard', () => ({ kind: 'discard' }));
    return checks;
  }

  async memory(): Promise<Replies['memory'][]> {
    return this.all('memory', () => ({ kind: 'memory' }));
  }

  async close(): Promise<void> {
    abortExchange(this.exchange);
    await Promise.all(this.pools.map((pool) => pool.destroy()));
  }

  /** Sends each worker its command; the first failure ends the others' waiting and is thrown when all have stopped. */
  private async all<Kind extends Command['kind']>(
    kind: Kind,
    commandOf: (worker: number) => Extract<Command, { kind: Kind }>,
    buffersOf: (worker: number) => SharedBuffers = () => ({}),
  ): Promise<Replies[Kind][]> {
    let first: unknown;
    const replies = await Promise.all(
      this.pools.map(async (pool, worker) => {
        try {
          const buffers = buffersOf(worker);
          const message = encodeCommand(commandOf(worker), buffers);
          const transferList = transferListOf(buffers);
          const bytes = (await pool.run(message, { transferList })) as Uint8Array;
          return decodeReply<Kind>(bytes);
        } catch (error) {
          abortExchange(this.exchange);
          first ??= this.explain(error, kind, worker);
          return null;
        }
      }),
    );
    if (first !== undefined) throw first as Error;
    return replies as Replies[Kind][];
  }

  private explain(error: unknown, kind: string, worker: number): Error {
    const { ranks, device } = this.placement[worker]!;
    return new Error(
      `rank ${ranks.join(',')} on ${device} failed in ${kind}: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
}

/** The run's part of the update rule; parameters multiply it by their own multipliers. */
export interface UpdateRuleOfRun {
  learningRate: number;
  momentum: number;
  weightDecay: number;
}

export interface GradientCheck {
  parameter: string;
  /** Norm of the gradient. */
  analytic: number;
  /** Change of the loss along it, by central difference. */
  numeric: number;
  /** |numeric − analytic| / the larger. */
  relativeError: number;
}

/** A pool of exactly one thread keeps a placement entry's state and device together. */
function startThread(): Piscina {
  return new Piscina({
    filename: new URL('../../workers/tower.js', import.meta.url).href,
    minThreads: 1,
    maxThreads: 1,
    idleTimeout: Infinity,
    // Between commands the thread's event loop must run, so that tensors can be freed.
    atomics: 'disabled',
    // A step's garbage outlives the short collections; without a limit V8 lets 100 MB of it gather
    // before the first long one. What lives is about 35 MB: tensors are not in this heap.
    resourceLimits: { maxOldGenerationSizeMb: 160 },
  });
}
