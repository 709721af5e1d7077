/** Where the time of a step goes on one worker. */
import type { StepTiming } from './messages.js';
import type { ExchangeCost, Instant, RoundCost } from './round_cost.js';

/**
 * The times of a step on one worker, without the exchanges' bytes.
 *
 * @param instants when the step began and its two phases ended
 * @param summingMs time in which gradients were summed over hosts
 */
export function stepTiming(
  cost: RoundCost,
  { began, forward, backward }: Record<'began' | 'forward' | 'backward', Instant>,
  summingMs: number,
): Omit<StepTiming, 'exchangeBytes' | 'gpuBytes' | 'notes'> {
  const { copyMs, waitMs, hostsWaitMs, sumsWaitMs } = cost.spent();
  return {
    forwardMs: cost.between(began, forward) - totalOf(cost.spent(0)),
    backwardMs: cost.between(forward, backward) - totalOf(cost.spent(1)),
    exchangeCopyMs: copyMs,
    exchangeWaitMs: waitMs,
    communicationMs: summingMs + hostsWaitMs,
    exposedMs: sumsWaitMs + hostsWaitMs,
  };
}

function totalOf(cost: ExchangeCost): number {
  return cost.copyMs + cost.waitMs + cost.hostsWaitMs + cost.sumsWaitMs;
}
