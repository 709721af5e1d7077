/** Where the time of a step goes on one worker. */
import type { StepTiming } from './messages.js';
import type { ExchangeCost, Instant, Phase, RoundCost } from './round_cost.js';

/** The times of a step on one worker, without the exchanges' bytes. @param sums of the gradients over all hosts */
export function stepTiming(
  cost: RoundCost,
  { began, forward, backward }: { began: Instant; forward: Phase; backward: Phase },
  sums: { communicationMs: number; waitMs: number },
): Omit<StepTiming, 'exchangeBytes' | 'gpuBytes' | 'notes'> {
  const inForward = cost.spent(0, forward.parts);
  const inBackward = cost.spent(forward.parts, backward.parts);
  const { copyMs, waitMs, hostsWaitMs } = cost.spent();
  return {
    forwardMs: cost.between(began, forward.ended) - totalOf(inForward),
    backwardMs: cost.between(forward.ended, backward.ended) - totalOf(inBackward) - sums.waitMs,
    exchangeCopyMs: copyMs,
    exchangeWaitMs: waitMs,
    communicationMs: sums.communicationMs + hostsWaitMs,
    exposedMs: sums.waitMs + hostsWaitMs,
  };
}

function totalOf({ copyMs, waitMs, hostsWaitMs }: ExchangeCost): number {
  return copyMs + waitMs + hostsWaitMs;
}
