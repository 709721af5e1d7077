/** Where the time of a step goes on one worker. */
import type { StepTiming } from './messages.js';
import type { ExchangeCost, Instant, Phase, RoundCost } from './round_cost.js';

/** The times of a step on one worker, without the exchanges' bytes. @param summingMs time in which gradients were summed over hosts */
export function stepTiming(
  cost: RoundCost,
  { began, forward, backward }: { began: Instant; forward: Phase; backward: Phase },
  summingMs: number,
): Omit<StepTiming, 'exchangeBytes' | 'gpuBytes' | 'notes'> {
  const inForward = cost.spent(0, forward.parts);
  const inBackward = cost.spent(forward.parts, backward.parts);
  const { copyMs, waitMs, hostsWaitMs, sumsWaitMs } = cost.spent();
  return {
    forwardMs: cost.between(began, forward.ended) - totalOf(inForward),
    backwardMs: cost.between(forward.ended, backward.ended) - totalOf(inBackward),
    exchangeCopyMs: copyMs,
    exchangeWaitMs: waitMs,
    communicationMs: summingMs + hostsWaitMs,
    exposedMs: sumsWaitMs + hostsWaitMs,
  };
}

function totalOf(cost: ExchangeCost): number {
  return cost.copyMs + cost.waitMs + cost.hostsWaitMs + cost.sumsWaitMs;
}
