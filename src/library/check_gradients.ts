/** Gradients against finite differences of the loss: `checkGradients` of the package, and the command `check`. */
import { UserError } from '../errors.js';
import { loadParameters } from '../runs/tensors.js';
import { compareWithFiniteDifferences } from '../training/gradient_check.js';
import type { GradientCheck } from '../training/gradient_check.js';
import { statisticsFor } from '../runs/statistics.js';
import { withTowers } from '../training/session.js';
import type { Devices } from './devices.js';
import { prepare } from './preparation.js';
import type { Recipe } from './recipe.js';
import type { TrainOptions } from './train_options.js';

/**
 * Compares the gradients of the first batch with finite differences of the loss.
 *
 * @returns one comparison per parameter tensor; `relativeError` is a fraction
 * @throws UserError for another precision than float32, and as `train` does
 */
export async function checkGradients(
  options: Recipe & Devices & Pick<TrainOptions, 'init' | 'checkpoint' | 'events' | 'signal'>,
): Promise<GradientCheck[]> {
  if (options.precision !== undefined && options.precision !== 'float32') {
    throw new UserError(
      `gradients are not checked in ${options.precision}, whose rounding is larger than a finite difference: leave --precision out`,
    );
  }
  const { configuration, phases, resolved, initialModel } = await prepare(options);
  const { dataset } = phases[0]!;
  const { events, signal } = options;
  resolved.warnings.forEach((warning) => events?.emit('warning', warning));
  const statistics = await statisticsFor(configuration, dataset, undefined, events);
  return withTowers(
    { configuration, dataset, statistics, signal, ...resolved },
    async (coordinator, ring) => {
      if (initialModel !== undefined) await loadParameters(coordinator, initialModel);
      const batch = await ring.batchAt({ epoch: 0, batch: 0 }, signal);
      return compareWithFiniteDifferences(
        coordinator,
        batch,
        (done, of) =>
          events?.emit('progress', { doing: 'checking gradients', unit: 'parameters', done, of }),
        signal,
      );
    },
  );
}
