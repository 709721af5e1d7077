/**
 * The coordinator: starts one thread per placement entry (`tower_threads.ts`), owns the shared memory through which
 * they exchange, and takes synchronized steps that happen on every rank of every replica or on none. It lives in the main
 * thread.
 *
 *     alone:             compute on all workers, which update once all have found everything finite
 *     with other hosts:  compute on all workers → all finite, on all hosts? → commit on all workers
 *
 * A worker that fails, ends or hangs ends every other worker's waiting at once. The coordinator then throws a
 * `WorkerFailure`, which says which worker, where and why, and is of no more use.
 */
import { prepareWorkers, sharedMemoryOf } from '../backend/backend.js';
import { divideFullyConnected } from '../model/hybrid.js';
import { buildNetwork } from '../model/network.js';
import type { Network } from '../model/network.js';
import { connectWorkers } from './connections.js';
import { openingOf } from './coordinator_options.js';
import type { CoordinatorOptions } from './coordinator_options.js';
import { CoordinatorTrace, tracksOf } from './coordinator_trace.js';
import type {
  ComputeCommand,
  GradientRoute,
  InspectReply,
  NotFinitePlace,
  OpenReply,
  Replies,
} from './messages.js';
import { chooseRoute } from './gradient_route.js';
import { withGpus, type Placement } from './placement.js';
import { computeInParts } from './accumulation.js';
import type { Computed, PartedBatch } from './accumulation.js';
import { bringToFirst } from './host_shares.js';
import { buffersOf, batchShareOf } from './shared_batch.js';
import type { SharedBatch } from './shared_batch.js';
import { NotFiniteParameters, allocateTensors, firstNotFinite } from './shared_parameters.js';
import type { SharedParameters } from './shared_parameters.js';
import type { UpdateRuleOfRun } from './sgd.js';
import { NotFiniteError, explainNotFinite, type StepOutcome } from './step_outcome.js';
import { TowerThreads } from './tower_threads.js';
import { World } from './world.js';

type ComputeOptions = Pick<ComputeCommand, 'measurePeak' | 'accumulates' | 'rule'>;

const NO_UPDATE: ComputeOptions = { measurePeak: false, accumulates: false, rule: null };

export class Coordinator {
  /** Number of the round of exchanges begun last. */
  private sequence = 0;
  /** The step begun last; null before the first. */
  private currentStep: number | null = null;
  /** The memory that `store` fills. */
  private stored: SharedParameters | null = null;

  private constructor(
    readonly network: Network,
    readonly placement: Placement,
    /** What each worker replied when it opened. */
    readonly workers: OpenReply[],
    private readonly threads: TowerThreads,
    private readonly trace: CoordinatorTrace,
    readonly world: World,
    /** How GPUs' gradients are summed over hosts; null if they are not. */
    readonly gradientRoute: GradientRoute | null,
  ) {}

  /**
   * Starts the workers and initializes their parameters from the configuration's seed.
   *
   * @throws WorkerFailure, UserError for a network that cannot be divided, and the reason of `signal`
   */
  static async open(options: CoordinatorOptions): Promise<Coordinator> {
    const { configuration, towers, backend, batch, exchangeTimeoutMs, trace, signal } = options;
    const { world = World.alone() } = options;
    const whole = buildNetwork(configuration.network, towers, configuration.data.classes);
    const network = divideFullyConnected(whole, world.fullyConnectedHosts);
    const connections = connectWorkers(network, options.placement, world, backend, batch);
    const { placement } = connections;
    prepareWorkers(backend);
    const hasSums = world.imageShare.of > 1;
    const tracks = placement.flatMap(({ ranks, device }) =>
      tracksOf(ranks, hasSums, sharedMemoryOf(backend, device) === 'gpus'),
    );
    trace?.declare(['coordinator', ...tracks]);
    const threads = new TowerThreads(connections, world, exchangeTimeoutMs);
    try {
      const workers = await threads.all(
        'open',
        (worker) => ({
          kind: 'open',
          ...openingOf(options),
          ...connections.commandOf(worker),
        }),
        (worker) => connections.buffersOf(worker),
        signal,
      );
      const route = await chooseRoute(world, threads, workers);
      const coordinatorTrace = new CoordinatorTrace(trace, threads);
      const opened = withGpus(placement, workers);
      return new Coordinator(network, opened, workers, threads, coordinatorTrace, world, route);
    } catch (error) {
      await threads.close();
      throw error;
    }
  }

  /**
   * Takes one synchronized step, on every rank or on none.
   *
   * @param step number of this step, from 1
   * @param batch the whole of it, or its parts, whose gradients are summed
   * @param measurePeak also measure the peak of tensor memory, which slows the step
   * @returns the step's result, or why no parameter has changed
   * @throws WorkerFailure
   */
  async step(
    step: number,
    batch: PartedBatch,
    rule: UpdateRuleOfRun,
    measurePeak = false,
  ): Promise<StepOutcome> {
    const take = () => this.computeAndCommit(step, batch, rule, measurePeak);
    return this.trace.step(step, take);
  }

  private async computeAndCommit(
    step: number,
    batch: PartedBatch,
    rule: UpdateRuleOfRun,
    measurePeak: boolean,
  ): Promise<StepOutcome> {
    const start = performance.now();
    this.threads.doing = `at step ${step}`;
    this.currentStep = step;
    const computed = await this.trace.part('compute', () =>
      computeInParts(batch, (part, accumulates) =>
        this.compute(step, part, { measurePeak, accumulates, rule }),
      ),
    );
    if (computed instanceof NotFiniteError) return { finite: false, error: computed };
    const { replies, loss, correct, images } = computed;
    const updates = this.world.isAlone ? replies : await this.commit(rule);
    return {
      finite: true,
      loss,
      accuracy: correct / images,
      stepMs: performance.now() - start,
      timings: replies.map(({ timing }, worker) => ({
        ...timing,
        updateMs: updates[worker]!.updateMs!,
      })),
      peakBytes: replies.map(({ peakBytes }) => peakBytes),
    };
  }

  private async commit(rule: UpdateRuleOfRun): Promise<Replies['commit'][]> {
    return this.trace.part('commit', () =>
      this.threads.all('commit', () => ({ kind: 'commit', ...rule })),
    );
  }

  /**
   * Runs forward and backward on every worker of every replica. The gradients stay there until `commit`, `discard` or
   * the next `compute`; if one is not finite anywhere, they are discarded everywhere.
   *
   * @param rule what the workers update by after the batch's last part, if there are no other hosts; null to update nothing
   * @returns this replica's replies, and loss and correct images of all
   */
  private async compute(
    step: number,
    batch: SharedBatch,
    { rule, ...options }: ComputeOptions,
  ): Promise<Computed | NotFiniteError> {
    const sequence = ++this.sequence;
    const share = batchShareOf(batch);
    const isLast = share.first + share.count === share.of;
    const replies = await this.threads.all(
      'compute',
      () => ({
        kind: 'compute',
        step,
        sequence,
        ...share,
        ...options,
        rule: isLast && this.world.isAlone ? rule : null,
      }),
      () => buffersOf(batch),
    );
    const found = replies.flatMap(({ notFinite }) => notFinite ?? []);
    // All workers of a replica have the same loss: its first host counts it.
    const own = this.world.hostOfReplica === 0 ? replies[0]! : { loss: 0, correct: 0 };
    const [loss, correct, places] = await this.world.agree([own.loss, own.correct, found.length]);
    if (places === 0) return { replies, loss: loss!, correct: correct! };
    await this.discard();
    const outputs = await this.locateNotFinite(step, batch);
    const all = await this.world.gather({ outputs, found });
    return explainNotFinite(
      this.network,
      step,
      all.flatMap((one) => one.outputs),
      all.flatMap((one) => one.found),
    );
  }

  /** Repeats the forward pass of a step to find each worker's first output that is not finite. */
  private async locateNotFinite(step: number, batch: SharedBatch): Promise<NotFinitePlace[]> {
    const sequence = ++this.sequence;
    const places = await this.threads.all(
      'locate',
      () => ({ kind: 'locate', sequence, ...batchShareOf(batch), step }),
      () => buffersOf(batch),
    );
    return places.flatMap((place) => place ?? []);
  }

  /**
   * Computes one batch forward.
   *
   * @param step apply the dropout masks of this training step; null leaves dropout off
   * @returns logits, float32 `[count, classes]`
   */
  async logitsOf(batch: SharedBatch, step: number | null = null): Promise<Float32Array> {
    const sequence = ++this.sequence;
    this.threads.doing = `in the test${this.position(' after')}`;
    const replies = await this.trace.whole('test', () =>
      this.threads.all(
        'logits',
        () => ({ kind: 'logits', sequence, ...batchShareOf(batch), step }),
        () => buffersOf(batch),
      ),
    );
    return replies[0]!.logits;
  }

  /** Computes one batch forward with dropout off: logits and the activations of the last hidden layer. */
  async inspect(batch: SharedBatch): Promise<InspectReply> {
    const sequence = ++this.sequence;
    this.threads.doing = 'in an inspection';
    const replies = await this.threads.all(
      'inspect',
      () => ({ kind: 'inspect', sequence, ...batchShareOf(batch) }),
      () => buffersOf(batch),
    );
    return replies[0]!;
  }

  /**
   * Copies all parameters and momentum buffers out of the workers. A collective if a replica is divided among hosts: the
   * first process gets all of them then, another one what its own workers hold.
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
    const own = replies.flatMap(({ notFinite }) => notFinite);
    const isDivided = this.world.hostsPerReplica > 1;
    const found = isDivided ? await this.world.gather(own) : [own];
    const tensor = firstNotFinite(this.network, found);
    if (tensor !== undefined) throw new NotFiniteParameters(tensor, this.currentStep);
    if (isDivided) await bringToFirst(this.world, this.network, shared);
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
   * Runs forward and backward without an update. The gradients stay on the workers, for `perturb`, until `discard`.
   *
   * @returns the norm of each parameter's gradient, by name
   * @throws NotFiniteError if the loss or a gradient is not finite
   */
  async computeGradientNorms(step: number, batch: SharedBatch): Promise<Record<string, number>> {
    const computed = await this.compute(step, batch, NO_UPDATE);
    if (computed instanceof NotFiniteError) throw computed;
    const squares = await this.threads.all('gradientSquares', () => ({ kind: 'gradientSquares' }));
    const { parameters } = this.network;
    const own = parameters.map(({ name }) =>
      squares.reduce((sum, worker) => sum + worker[name]!, 0),
    );
    const sums = await this.world.agree(own);
    return Object.fromEntries(
      parameters.map(({ name, hosts }, index) => {
        const holders = hosts === 1 ? this.world.imageShare.of : 1;
        return [name, Math.sqrt(sums[index]! / holders)];
      }),
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

  /** The current step, for the message of a failure; empty before the first. */
  private position(preposition: string): string {
    return this.currentStep === null ? '' : `${preposition} step ${this.currentStep}`;
  }

  /** The memory that each worker's tensors take. */
  async memory(): Promise<Replies['memory'][]> {
    return this.threads.all('memory', () => ({ kind: 'memory' }));
  }

  /** Whether a worker has failed: its parameters are lost, and the coordinator is of no more use. */
  get hasFailed(): boolean {
    return this.threads.haveFailed;
  }

  /** Writes the rest of the trace and ends the threads. */
  async close(): Promise<void> {
    try {
      await this.trace.finish();
    } finally {
      await this.threads.close();
    }
  }
}
