/** Timing placements as a function: `compare` of the package and of the command line. */
import { buildNetwork } from '../model/network.js';
import { TimedPlacement, noiseBatch, takeTurns } from '../training/comparison.js';
import { TraceFile } from '../report/trace.js';
import type { Candidate, ComparisonRow } from '../training/comparison.js';
import type { PlacementName } from '../runs/events.js';
import type { RunEvents } from '../runs/events.js';
import { resolveDevices } from './devices.js';
import type { Devices, ResolvedPlacement } from './devices.js';
import { asksForTowers, configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';

/** Where neither a preset nor a file is named. */
export const DEFAULT_PRESET = 'alexnet-paper';

export interface CompareOptions extends Omit<Recipe, 'data' | 'epochs'>, Devices {
  /** Timed steps of each placement (default 10). */
  steps?: number | undefined;
  /** New file for a trace of every placement's steps, in Chrome's format. */
  trace?: string | undefined;
  /** Hears `warning`, `omitted`, `warmUp` and `turn`. */
  events?: RunEvents | undefined;
  /** Aborted: stops after the step under way, and throws the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** What `compare` measured. */
export interface Comparison {
  preset: string;
  /** Images a step. */
  batch: number;
  /** Timed steps of each placement. */
  steps: number;
  rows: ComparisonRow[];
}

/** Times the split, grouped and dense placements of a network on noise, taking their steps in turn. */
export async function compare(options: CompareOptions = {}): Promise<Comparison> {
  const { events, signal, trace: tracePath, steps = 10, ...recipe } = options;
  const preset = recipe.preset ?? (recipe.config === undefined ? DEFAULT_PRESET : undefined);
  const asked = configurationOf({ ...recipe, preset });
  const towers = asksForTowers(recipe) ? asked.towers : undefined;
  const resolved = await resolveDevices(recipe, towers, asked.towers);
  const { backend, precision } = resolved;
  resolved.warnings.forEach((warning) => events?.emit('warning', warning));
  const candidates = candidatesOf(resolved, asked.towers);
  for (const [name, reason] of missing(candidates)) events?.emit('omitted', name, reason);
  // Refuses what the layer list does not allow before anything is opened.
  candidates.forEach((candidate) =>
    buildNetwork(asked.network, candidate.towers, asked.data.classes),
  );

  const noise = await noiseBatch(asked, signal);
  const file = tracePath === undefined ? undefined : new TraceFile(tracePath);
  const timed: TimedPlacement[] = [];
  try {
    for (const candidate of candidates) {
      signal?.throwIfAborted();
      events?.emit('warmUp', candidate.name);
      const trace = file?.group(candidate.name);
      const placement = await TimedPlacement.open(
        candidate,
        asked,
        { backend, precision, trace, signal },
        noise,
      );
      timed.push(placement);
      await placement.warmUp(signal);
    }
    const of = steps * timed.length;
    await takeTurns(timed, steps, (share) => {
      events?.emit('turn', { done: Math.round(share * of), of });
      signal?.throwIfAborted();
    });
    const denseMs = timed.find(({ candidate }) => candidate.name === 'dense')!.msPerStep().median;
    const rows = timed.map((placement) => placement.row(denseMs));
    return { preset: asked.name, batch: noise.count, steps, rows };
  } finally {
    for (const placement of timed) await placement.close();
    file?.close();
  }
}

/** The split placement as asked for, and both networks on its first worker's device with all cores. */
function candidatesOf(
  { placement, towers, machine }: ResolvedPlacement,
  presetTowers: number,
): Candidate[] {
  const first = placement[0]!;
  const groupedTowers = towers > 1 ? towers : presetTowers;
  const alone = (count: number): Candidate['placement'] => [
    { ...first, ranks: Array.from({ length: count }, (_, rank) => rank), threads: machine.cores },
  ];
  const candidates: Candidate[] = [];
  if (placement.length > 1) {
    candidates.push({ name: 'split', towers, placement });
  }
  if (groupedTowers > 1) {
    candidates.push({ name: 'grouped', towers: groupedTowers, placement: alone(groupedTowers) });
  }
  candidates.push({ name: 'dense', towers: 1, placement: alone(1) });
  return candidates;
}

/** Each placement that is not compared, and why. */
function missing(candidates: Candidate[]): [PlacementName, string][] {
  const reasons: [PlacementName, string][] = [
    ['split', 'the towers have one device; try --gpus 0,1 or --cpu 2'],
    ['grouped', 'the network has one tower; try --towers 2'],
  ];
  return reasons.filter(([name]) => candidates.every((candidate) => candidate.name !== name));
}
