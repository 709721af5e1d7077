/**
 * The package: what `import … from 'twotower'` gives.
 *
 *     import { RunEvents, train } from 'twotower';
 *
 *     const events = new RunEvents();
 *     events.on('test', ({ epoch, top1 }) => console.log(epoch, top1));
 *     const { path } = await train({ preset: 'demo', gpus: [0, 1], events });
 */
export { UserError } from './errors.js';
export { compare, DEFAULT_PRESET } from './library/compare.js';
export type { CompareOptions, Comparison } from './library/compare.js';
export { openDashboard } from './library/dashboard.js';
export type { Dashboard } from './library/dashboard.js';
export type { Devices } from './library/devices.js';
export { diagnose } from './library/diagnose.js';
export type { Diagnosis } from './library/diagnose.js';
export { evaluate } from './library/evaluate.js';
export type { EvaluatedRun, EvaluateOptions, Evaluation } from './library/evaluate.js';
export { exportModel } from './library/export.js';
export type { ExportedModel, ExportOptions } from './library/export.js';
export { importModel, ModelDoesNotFit } from './library/import.js';
export type { ImportedRun, ImportOptions, ModelDifference } from './library/import.js';
export { inspectData } from './library/inspect_data.js';
export type { DataInspection, Extent, InspectDataOptions } from './library/inspect_data.js';
export { loadRun } from './library/load_run.js';
export type { LoadedCheckpoint, LoadedRun } from './library/load_run.js';
export { planAlgorithms } from './library/algorithms.js';
export type { PlannedPass } from './library/algorithms.js';
export type {
  ConvolutionAlgorithm,
  ConvolutionPass,
  PassAlgorithm,
} from './backend/native/addon_layers.js';
export { plan } from './library/plan.js';
export type { Plan, PlannedLayer } from './library/plan.js';
export { planGpus } from './library/plan_gpus.js';
export type { PlannedGpu } from './library/plan_gpus.js';
export type { StepMemory } from './model/memory.js';
export type { HostTraffic, PlannedParallelism } from './library/plan_hosts.js';
export { configurationOf } from './library/recipe.js';
export { refuseReportFile, writeComparison, writeReport } from './library/report.js';
export { compareRuns, listRuns } from './library/runs.js';
export type { ConfigurationDifference, ListedRun } from './library/runs.js';
export { predict } from './library/predict.js';
export type { PredictOptions, Prediction } from './library/predict.js';
export type { Recipe } from './library/recipe.js';
export { checkGradients } from './library/check_gradients.js';
export { joinWorld } from './parallel/join_world.js';
export type { JoinOptions } from './parallel/join_world.js';
export type { GroupHandle, MpiName } from './parallel/process_group.js';
export type { Fact, Topic, World } from './parallel/world.js';
export { programVersion } from './program_version.js';
export { train } from './library/train.js';
export type { TrainedRun } from './library/train.js';
export { isSeedFolder } from './runs/seed_folder.js';
export { trainSeeds } from './library/train_seeds.js';
export type { TrainedSeeds, TrainSeedsOptions } from './library/train_seeds.js';
export { PARALLELISMS } from './library/train_options.js';
export type { Parallelism, TrainOptions } from './library/train_options.js';
export { visualize } from './library/visualize.js';
export type { VisualizeOptions } from './library/visualize.js';
export { BACKEND_NAMES } from './backend/backend.js';
export { PRECISIONS } from './backend/numerics.js';
export type { BackendName, Device, Gpu } from './backend/backend.js';
export type { Precision } from './backend/numerics.js';
export { fetchCifar10 } from './data/fetch_cifar10.js';
export type { FetchOptions } from './data/fetch_cifar10.js';
export type { DownloadOptions, Expected } from './data/download.js';
export { prepareDataset } from './data/prepare.js';
export type { PreparedDataset, PrepareOptions } from './data/prepare.js';
export type { Manifest, SkippedFile } from './data/prepared.js';
export { presetNames } from './configuration.js';
export type {
  ColourConfiguration,
  Configuration,
  DataConfiguration,
  DataSource,
  DeepPartial,
  ImageView,
  Overrides,
  Schedule,
  TestConfiguration,
  TrainingConfiguration,
  TrainingEvent,
} from './configuration.js';
export type { Crops } from './data/views.js';
export type { JpegDecoder } from './data/choose_jpeg_decoder.js';
export type * from './model/layers.js';
export type { StepTimingWithUpdate } from './parallel/step_outcome.js';
export type { Placement, WorkerPlacement } from './parallel/placement.js';
export type { GradientRoute, OpenedGpu } from './parallel/messages.js';
export type { ComputingGpu } from './backend/capabilities.js';
export type { CheckpointChoice } from './runs/checkpoint_reader.js';
export type { CheckpointState, LayerAlgorithm, StoredState } from './runs/checkpoint_state.js';
export type { PlateauState, Progress, Tested } from './runs/progress.js';
export type { Spread } from './report/quantiles.js';
export type { ComparisonRow, Parts } from './training/comparison.js';
export type { PlacementName } from './runs/events.js';
export type { TestResult } from './runs/summary.js';
export type { GradientCheck } from './training/gradient_check.js';
export { RunEvents } from './runs/events.js';
export type {
  CheckpointSaved,
  FinalTest,
  HostPlacement,
  RunEventMap,
  RunStart,
  StepDone,
  TestDone,
  Testing,
  TurnTaken,
  WorkProgress,
} from './runs/events.js';
export type { MetricsEvent, SkipEvent, TestEvent, TrainEvent } from './runs/metrics.js';
export type { Communication, PlacedRank, Summary } from './runs/summary.js';
export type { StoredTensor, TensorMap } from './runs/safetensors.js';
export type { DatasetStatistics } from './data/statistics.js';
