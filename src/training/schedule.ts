/** The learning rate as a function of the epoch alone, so that a resumed run needs no memory of it. */
import type { TrainingConfiguration } from '../configuration.js';

/**
 * @param epoch epochs completed, from 0
 * @returns the rate ε for every step of that epoch, before the parameters' own multipliers
 */
export function learningRateAt(
  { learningRate, schedule }: TrainingConfiguration,
  epoch: number,
): number {
  if (schedule.type === 'constant') return learningRate;
  const drops = schedule.at.filter((at) => at <= epoch).length;
  return learningRate * schedule.factor ** drops;
}
