/** What a run on several hosts requires of them. */
import { contentsOf } from '../data/contents.js';
import type { Configuration } from '../configuration.js';
import type { Dataset } from '../data/examples.js';
import { UserError } from '../errors.js';
import type { Fact } from '../parallel/world.js';
import type { ResolvedPlacement } from './devices.js';
import type { Parallelism } from './train_options.js';

/** What all hosts must have in common. Where each has its data does not matter. */
export function factsOf(
  configuration: Configuration,
  dataset: Dataset,
  { placement, backend, precision }: ResolvedPlacement,
  parallelism: Parallelism,
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
      otherwise: 'other data',
      value: contentsOf(dataset),
      remedy: 'copy the same files to all hosts, and give each its own with --data',
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
