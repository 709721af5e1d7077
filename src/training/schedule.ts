/**
 * Learning rates over time, of the run and of single parameters: functions of the epoch and, if the schedule is
 * `plateau`, of the tests so far. A checkpoint keeps `PlateauState`, so that a resumed run has the same rates.
 */
import type { TrainingConfiguration } from '../configuration.js';
import { UserError } from '../errors.js';
import type { Network, Parameter } from '../model/network.js';
import type { UpdateRuleOfRun } from '../parallel/sgd.js';
import type { PlateauState, Progress } from '../runs/progress.js';

const NO_TESTS: PlateauState = { drops: 0, best: null, waited: 0 };

/** The state after an epoch's test; undefined if the schedule is not `plateau`. */
export function plateauAfter(
  { schedule }: TrainingConfiguration,
  state: PlateauState = NO_TESTS,
  top1: number,
): PlateauState | undefined {
  if (schedule.type !== 'plateau') return undefined;
  const { drops, best, waited } = state;
  if (best === null || top1 > best) return { drops, best: top1, waited: 0 };
  if (waited + 1 < schedule.patience || drops === schedule.drops) {
    return { drops, best, waited: waited + 1 };
  }
  return { drops: drops + 1, best, waited: 0 };
}

/**
 * @param epoch epochs completed, from 0
 * @returns the learning rate ε of every step of that epoch, before the parameters' own multipliers
 */
export function learningRateAt(
  { learningRate, schedule }: TrainingConfiguration,
  epoch: number,
  plateau: PlateauState = NO_TESTS,
): number {
  switch (schedule.type) {
    case 'constant':
      return learningRate;
    case 'steps':
      return learningRate * schedule.factor ** schedule.at.filter((at) => at <= epoch).length;
    case 'plateau':
      return learningRate * schedule.factor ** plateau.drops;
  }
}

/**
 * Ratio of a parameter's learning rate to the run's. It is the multiplier from the latest event for its layer up to
 * `epoch`, else its own. With `followsSchedule: false`, it also cancels the schedule.
 *
 * @param rate the run's learning rate in that epoch
 */
export function multiplierAt(
  { learningRate, events = [] }: TrainingConfiguration,
  parameter: Parameter,
  epoch: number,
  rate: number,
): number {
  const role = parameter.name.endsWith('.bias') ? 'bias' : 'weight';
  const last = events
    .filter((event) => event.layer === parameter.layer && event[role] !== undefined)
    .filter((event) => event.epoch <= epoch)
    .toSorted((a, b) => a.epoch - b.epoch)
    .at(-1);
  const multiplier = last?.[role] ?? parameter.learningRateMultiplier;
  return parameter.followsSchedule ? multiplier : (multiplier * learningRate) / rate;
}

/** The update rule of the step that follows `progress`, with each parameter's learning-rate multiplier. */
export function updateRuleAt(
  training: TrainingConfiguration,
  { parameters }: Network,
  { epoch, plateau }: Pick<Progress, 'epoch' | 'plateau'>,
): UpdateRuleOfRun {
  const { momentum, weightDecay } = training;
  const learningRate = learningRateAt(training, epoch, plateau);
  const multipliers = Object.fromEntries(
    parameters.map((parameter) => [
      parameter.name,
      multiplierAt(training, parameter, epoch, learningRate),
    ]),
  );
  return { learningRate, multipliers, momentum, weightDecay };
}

/** @throws UserError if an event names a layer that the network does not have or that has no parameters */
export function checkEvents({ events = [] }: TrainingConfiguration, network: Network): void {
  const names = network.layers.filter(({ parameters }) => parameters.length > 0);
  for (const { epoch, layer } of events) {
    if (names.some(({ name }) => name === layer)) continue;
    throw new UserError(
      `training.events: no layer "${layer}" has parameters to change at epoch ${epoch}; there are ${names.map(({ name }) => name).join(', ')}`,
    );
  }
}
