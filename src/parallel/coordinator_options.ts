/** What a coordinator is opened with, and what it tells all workers then. */
import type { BackendName } from '../backend/backend.js';
import type { ConvolutionPassAlgorithm } from '../backend/native/addon_layers.js';
import type { Precision } from '../backend/numerics.js';
import type { Configuration } from '../configuration.js';
import type { TraceTracks } from '../report/trace.js';
import type { OpenCommand } from './messages.js';
import type { Placement } from './placement.js';
import type { World } from './world.js';

export interface CoordinatorOptions {
  configuration: Configuration;
  towers: number;
  /** Workers of this host. The ranks are those of the first host of a replica. */
  placement: Placement;
  backend: BackendName;
  /** Precision of the products (default float32). */
  precision?: Precision;
  /** How the native backend computes these passes, instead of by the cheapest algorithm (default none). */
  keptAlgorithms?: readonly ConvolutionPassAlgorithm[];
  /** How pixels become input. The default is for noise, where a mean that depends on the images is 0.5. */
  normalization?: Pick<OpenCommand, 'mean' | 'std' | 'meanImage'>;
  /** Largest batch that will be computed: of several replicas, the largest share of one. */
  batch: number;
  /** The replicas on all hosts (default: this one alone). */
  world?: World | undefined;
  /** Milliseconds without progress of any worker after which one is taken to hang (default 5 minutes). */
  exchangeTimeoutMs?: number | undefined;
  /** Gets a track per rank and one for the coordinator. */
  trace?: TraceTracks | undefined;
  /** Wait for the update of each step, which a GPU does behind the next step otherwise (default: if there is a trace). */
  timed?: boolean | undefined;
  /** Gives up opening when it is aborted. */
  signal?: AbortSignal | undefined;
}

/** What every worker of this host is told alike when it opens. */
export function openingOf({
  configuration,
  towers,
  backend,
  precision = 'float32',
  keptAlgorithms = [],
  normalization = normalizationOfNoise(configuration),
  trace,
  timed = trace !== undefined,
}: CoordinatorOptions): Pick<
  OpenCommand,
  | 'specification'
  | 'towers'
  | 'classes'
  | 'backend'
  | 'precision'
  | 'keptAlgorithms'
  | 'seed'
  | 'mean'
  | 'std'
  | 'meanImage'
  | 'traced'
  | 'timed'
> {
  return {
    specification: configuration.network,
    towers,
    classes: configuration.data.classes,
    backend,
    precision,
    keptAlgorithms,
    seed: configuration.training.seed,
    ...normalization,
    traced: trace !== undefined,
    timed,
  };
}

function normalizationOfNoise({
  data: { mean, std },
}: Configuration): Pick<OpenCommand, 'mean' | 'std' | 'meanImage'> {
  return { mean: typeof mean === 'string' ? [0.5, 0.5, 0.5] : mean, std, meanImage: null };
}
