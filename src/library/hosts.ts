/** What a run on several hosts requires of them. */
import { nvjpegVersion } from '../data/choose_jpeg_decoder.js';
import { contentsOf } from '../data/contents.js';
import type { Configuration } from '../configuration.js';
import { type Dataset, isEncoded } from '../data/examples.js';
import { UserError } from '../errors.js';
import type { Fact } from '../parallel/world.js';
import type { ResolvedPlacement } from './devices.js';
import type { Parallelism } from './train_options.js';

/** What all hosts must have in common to train. */
export function factsOf(
  configuration: Configuration,
  dataset: Dataset,
  resolved: ResolvedPlacement,
  parallelism: Parallelism,
): Fact[] {
  return [
    ...recipeFactsOf(configuration, resolved, parallelism),
    {
      otherwise: 'another version of nvJPEG, or none',
      // What CPUs decode is the same everywhere.
      value: isEncoded(dataset) ? (nvjpegVersion(resolved.jpegDecoder) ?? null) : null,
      remedy: 'install the same on all hosts, or set TWOTOWER_NVJPEG=never on all',
    },
    {
      otherwise: 'other data',
      value: contentsOf(dataset),
      remedy: 'copy the same files to all hosts, and give each its own with --data',
    },
  ];
}

/** What all hosts must have in common to compute. Where each has its data does not matter. */
export function recipeFactsOf(
  configuration: Configuration,
  { placement, backend, precision }: ResolvedPlacement,
  parallelism: Parallelism | null,
): Fact[] {
  const { network, towers, training, test, data } = configuration;
  const recipe = { network, towers, training, test, data: { ...data, directory: null } };
  const ranks = placement.map((worker) => worker.ranks);
  return [
    {
      otherwise: 'another configuration',
      value: recipe,
      remedy: 'give all processes the same options and presets',
    },
    {
      otherwise: 'another placement, backend or precision',
      value: { ranks, parallelism, backend, precision },
      remedy:
        'give --parallelism, --gpus or --cpu, --backend and --precision so that all hosts compute alike',
    },
  ];
}

/** @throws UserError if a host would have no image of a batch */
export function refuseTooManyShares(batch: number, shares: number): void {
  if (batch >= shares) return;
  throw new UserError(
    `a batch of ${batch} cannot be divided among ${shares} hosts: give --batch ${shares} or more`,
  );
}
