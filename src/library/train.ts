/**
 * Training as a function: `train` of the package, and everything that the command of that name does beside
 * parsing and printing.
 *
 * It opens the towers, the data and the run folder, and hands them to the loop (`training/trainer.ts`). If a
 * worker fails and restarts are left, it opens the towers again and continues from the latest checkpoint.
 *
 * With several hosts, each of them does this. The first one alone has the run folder; from it the others get what the
 * folder holds.
 */
import { basename } from 'node:path';
import { aThreadLasts } from '../backend/process_end.js';
import { imagesPerStep } from '../configuration.js';
import type { Configuration } from '../configuration.js';
import { batchesPerEpoch } from '../data/batches.js';
import type { BatchRing } from '../data/batches.js';
import { nvjpegVersion } from '../data/choose_jpeg_decoder.js';
import { isEncoded } from '../data/examples.js';
import { refuseImpossibleCrops } from '../data/views.js';
import { messageOf } from '../errors.js';
import { HostsTrace } from '../parallel/hosts_trace.js';
import { WorkerFailure } from '../parallel/worker_failure.js';
import { World } from '../parallel/world.js';
import type { LayerAlgorithm } from '../runs/checkpoint_state.js';
import { RunEvents } from '../runs/events.js';
import { Run } from '../runs/run.js';
import type { RunVerbs } from '../runs/run.js';
import { RunElsewhere } from '../runs/run_elsewhere.js';
import { freeRunPath } from '../runs/run_path.js';
import { keepStatistics, statisticsFor } from '../runs/statistics.js';
import type { Summary } from '../runs/summary.js';
import { loadParameters } from '../runs/tensors.js';
import { TensorboardLog } from '../runs/tensorboard.js';
import { afterTrouble, initialLoopState } from '../training/policy.js';
import { Recorder } from '../training/recorder.js';
import { Requests } from '../training/requests.js';
import { withTowers } from '../training/session.js';
import type { SessionOptions } from '../training/session.js';
import { train as trainTowers } from '../training/trainer.js';
import type { RunIdentity } from '../training/trainer.js';
import { algorithmsOfRun } from './algorithms.js';
import { hostsOf, placementSummary } from './host_placements.js';
import { factsOf, refuseTooManyShares } from './hosts.js';
import { prepare } from './preparation.js';
import { phaseAt } from './phases.js';
import type { Phase } from './phases.js';
import {
  changesOnResuming,
  isFollowed,
  limitsOf,
  refuseCompleted,
  resume,
  startOf,
} from './resume.js';
import type { Start } from './resume.js';
import { endRun } from './run_end.js';
import type { EndedRun } from './run_end.js';
import { refuseImpossibleOptions } from './train_options.js';
import type { TrainOptions } from './train_options.js';

/** The contents of `summary.json`, and its run folder. */
export interface TrainedRun extends Summary {
  path: string;
}

const MINUTE_MS = 60_000;
/** Minutes between checkpoints by time. */
const CHECKPOINT_MINUTES = 10;
/** What a run needs before its towers are opened. */
interface PreparedTraining {
  options: TrainOptions;
  session: Omit<SessionOptions, 'dataset'> & { world: World };
  phases: Phase[];
  /** How each convolution is computed; undefined except with the native backend. */
  algorithms: LayerAlgorithm[] | undefined;
  start: Start;
  /** Safetensors file of the initial parameters; undefined if they are drawn from the seed, or resumed. */
  initialModel: string | undefined;
  /** What a resumed run has otherwise than before. */
  changes: string[];
  /** What the run's summary will repeat. */
  warnings: string[];
  events: RunEvents;
  signal: AbortSignal;
}

/**
 * Trains until the epochs or steps are done, or `signal` is aborted.
 *
 * @throws UserError for what the caller can fix, such as a folder that is taken; nothing is written then. A
 *   failure of the run itself is also in its `summary.json`. If `signal` is aborted before the run is open,
 *   its reason
 */
export async function train(options: TrainOptions): Promise<TrainedRun> {
  refuseImpossibleOptions(options);
  // Locked before its checkpoints are read, which another process may be about to replace.
  const { world = World.alone(), resume: resumed } = options;
  let run = resumed === undefined ? undefined : await runOf(world, () => Run.reopen(resumed));
  const claim = async (configuration: Configuration): Promise<RunVerbs> =>
    (run ??= await runOf(world, () => Run.claim(options.out, configuration)));
  let trace: HostsTrace | undefined;
  try {
    const preparation = await prepareTraining(options, world, run);
    const { configuration } = preparation.session;
    trace = await HostsTrace.open(world, options.trace);
    const path = run?.folder.path ?? options.out ?? freeRunPath(configuration);
    const tracks = await trace?.tracks(world, basename(path));
    const session = { ...preparation.session, trace: tracks };
    const ended = await restarting({ ...preparation, session }, () => claim(configuration));
    if (ended.state.trouble === null) await tracks?.gather?.();
    const summary = endRun(ended, preparation.events);
    return { ...summary, path: ended.run.folder.path };
  } finally {
    trace?.close();
    await run?.close();
  }
}

/** The run in the hands of the first host, and what stands for it on the others. */
async function runOf(world: World, open: () => Run): Promise<RunVerbs> {
  let run: Run | undefined;
  const path = await world.fromFirst(() => (run = open()).folder.path);
  return run ?? new RunElsewhere(path);
}

/** @param run the run to resume; undefined for a new one */
async function prepareTraining(
  options: TrainOptions,
  world: World,
  run: RunVerbs | undefined,
): Promise<PreparedTraining> {
  const { events = new RunEvents(), signal = new AbortController().signal } = options;
  signal.throwIfAborted();
  const resumed = run && (await world.fromFirst(() => resume(run, options)));
  const precision = options.precision ?? resumed?.point.state.precision ?? undefined;
  const initial = world.isFirst ? {} : { init: undefined, checkpoint: undefined };
  const asked = { ...options, precision, ...initial };
  const { configuration, phases, resolved, initialModel } = await prepare(
    asked,
    resumed && { ...resumed, classes: resumed.point.state.classes },
    signal,
    options.parallelism === 'towers' ? world.processes : 1,
  );
  const { dataset } = phases[0]!;
  const { parallelism = 'replicas' } = options;
  await world.requireSame(factsOf(configuration, dataset, resolved, parallelism));
  const isHybrid = parallelism === 'hybrid';
  world.divideReplicas(isHybrid ? world.processes : resolved.processesPerReplica, isHybrid);
  // What can be refused is refused before anything is opened.
  batchesPerEpoch(dataset.train.count, imagesPerStep(configuration.training));
  refuseImpossibleCrops(configuration.test.crops, configuration.data.view);
  const start = startOf(resumed?.point ?? null, configuration, phases);
  if (run !== undefined) {
    await world.fromFirst(() => refuseCompleted(run.folder, start.progress, configuration));
  }
  const { of: shares } = world.imageShare;
  refuseTooManyShares(configuration.training.batch, shares);
  const state = resumed?.point.state;
  const algorithms = algorithmsOfRun(configuration, resolved, shares, state);
  const warnings = [
    ...algorithms.warnings,
    ...(run?.takenOver === undefined ? [] : [run.takenOver]),
    ...resolved.warnings,
    ...(resumed?.point.warnings ?? []),
  ];
  warnings.forEach((warning) => events.emit('warning', warning));
  const statistics = await world.fromFirst(() =>
    statisticsFor(configuration, dataset, run?.folder.path, events, signal),
  );
  const { exchangeTimeoutMs } = options;
  const decoder = isEncoded(dataset) ? resolved.jpegDecoder : undefined;
  return {
    options,
    session: {
      configuration,
      statistics,
      exchangeTimeoutMs,
      signal,
      world,
      keptAlgorithms: algorithms.kept,
      ...resolved,
    },
    algorithms: algorithms.recorded,
    phases,
    start,
    initialModel,
    changes: resumed === undefined ? [] : changesOnResuming(resumed, resolved, decoder),
    warnings,
    events,
    signal,
  };
}

/** Opens the towers and trains: for each phase, and again as long as a worker fails and restarts are left. */
async function restarting(
  preparation: PreparedTraining,
  claim: () => Promise<RunVerbs>,
): Promise<EndedRun> {
  const { options, session, phases, warnings, events, signal } = preparation;
  const { configuration } = session;
  const { restarts: allowed = 0 } = options;
  const started = performance.now();
  let { start, changes } = preparation;
  let before: EndedRun | undefined;
  let restarts = 0;
  for (;;) {
    let ended: EndedRun | undefined;
    let failure: unknown;
    try {
      ended = await trainOnce({ ...preparation, start, changes }, claim, { restarts, started });
      failure = ended.state.trouble?.error;
    } catch (error) {
      // Between two phases, while the towers open.
      const isStopped = signal.aborted && error === signal.reason;
      if (isStopped && before !== undefined) return { ...before, status: 'interrupted' };
      failure = error;
    }
    if (ended?.status === 'completed' && isFollowed(ended.state.progress, configuration)) {
      before = ended;
      const { run } = ended;
      start = startOf(
        await session.world.fromFirst(() => run.load('latest')),
        configuration,
        phases,
      );
      changes = [
        'training images: those for validation are among them, and only the end is tested',
      ];
      continue;
    }
    if (!(failure instanceof WorkerFailure) || restarts >= allowed || aThreadLasts()) {
      if (ended === undefined) throw failure;
      return ended;
    }
    if (ended !== undefined && ended.run.latest() !== null) {
      start = startOf(ended.run.load('latest'), configuration, phases);
    }
    restarts++;
    const warning = `${messageOf(failure)}; the workers start again from step ${start.progress.step}, restart ${restarts} of at most ${allowed}`;
    warnings.push(warning);
    events.emit('warning', warning);
  }
}

/** Trains with one set of workers, until the phase ends or one of them fails. */
async function trainOnce(
  preparation: PreparedTraining,
  claim: () => Promise<RunVerbs>,
  { restarts, started }: { restarts: number; started: number },
): Promise<EndedRun> {
  const { options, start, initialModel, changes, warnings, events, signal } = preparation;
  const { dataset } = phaseAt(preparation.phases, start.progress.epoch);
  const session: SessionOptions = { ...preparation.session, dataset };
  const { configuration, statistics } = session;
  return withTowers(session, async (coordinator, ring) => {
    const { world } = coordinator;
    const model = await world.fromFirst(() => start.point?.files.model ?? initialModel);
    if (model !== undefined) {
      const except = start.point === null ? options.initExcept : undefined;
      await loadParameters(coordinator, model, start.point?.files.optimizer, except);
    }
    const run = await claim();
    run.cutBack(start.point, configuration);
    if (world.isFirst) keepStatistics(run.folder.path, statistics);
    const hosts = await hostsOf(coordinator);
    const recorder = new Recorder({ configuration, coordinator, ring, run, events, hosts });
    const minutes = options.checkpointMinutes ?? CHECKPOINT_MINUTES;
    const requests = new Requests(world, signal, events, minutes * MINUTE_MS);
    const tensorboard = world.isFirst ? new TensorboardLog(events) : undefined;
    const limits = limitsOf(start.progress, configuration, preparation.phases, options);
    const from = initialLoopState(start.progress, start.point !== null, limits);
    let { status, state } = await trainTowers({
      configuration,
      classes: dataset.classes,
      coordinator,
      ring,
      run,
      identity: identityOf(session, preparation.algorithms, ring),
      from,
      changes,
      requests,
      recorder,
      testLimit: options.testLimit,
    });
    requests.close();
    try {
      await tensorboard?.close();
    } catch (error) {
      state = afterTrouble(state, error, 'nothing');
      status = 'failed';
    }
    return {
      run,
      status,
      state,
      facts: {
        restarts,
        wallSeconds: (performance.now() - started) / 1000,
        imagesPerSecond: recorder.imagesPerSecond,
        parameters: coordinator.network.parameterCount,
        ...placementSummary(coordinator.placement, hosts),
        ...(!world.isAlone && { communication: recorder.communication }),
        ...(coordinator.gradientRoute && { gradientRoute: coordinator.gradientRoute }),
        backend: coordinator.workers[0]!.backend,
        ...(ring.jpegDecoder !== undefined && { jpegDecoder: ring.jpegDecoder }),
        warnings,
        undecodable: ring.undecodable.map(({ file }) => file),
      },
    };
  });
}

/** What a checkpoint says of the run beside its progress. */
function identityOf(
  { configuration, dataset, precision }: SessionOptions,
  algorithms: LayerAlgorithm[] | undefined,
  { jpegDecoder }: BatchRing,
): RunIdentity {
  const { towers, training, data } = configuration;
  return {
    seed: training.seed,
    towers,
    datasetName: data.source,
    classes: dataset.classes,
    batch: imagesPerStep(training),
    trainingImages: dataset.train.count,
    precision,
    algorithms,
    nvjpeg: nvjpegVersion(jpegDecoder),
  };
}
