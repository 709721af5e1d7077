/** Timing placements as a function: `compare` of the package and of the command line. */
import type { Configuration } from '../configuration.js';
import { UserError } from '../errors.js';
import { divideFullyConnected } from '../model/hybrid.js';
import { buildNetwork } from '../model/network.js';
import { HostsTrace } from '../parallel/hosts_trace.js';
import { World } from '../parallel/world.js';
import { TimedPlacement, noiseBatch, takeTurns } from '../training/comparison.js';
import type { TraceTracks } from '../report/trace.js';
import type { Candidate, ComparisonRow } from '../training/comparison.js';
import type { PlacementName } from '../runs/events.js';
import type { RunEvents } from '../runs/events.js';
import { resolveDevices } from './devices.js';
import type { Devices, ResolvedPlacement } from './devices.js';
import { recipeFactsOf, refuseTooManyShares } from './hosts.js';
import { asksForTowers, configurationOf } from './recipe.js';
import type { Recipe } from './recipe.js';
import type { Parallelism } from './train_options.js';

/** Where neither a preset nor a file is named. */
export const DEFAULT_PRESET = 'alexnet-paper';

export interface CompareOptions extends Omit<Recipe, 'data' | 'epochs'>, Devices {
  /** Timed steps of each placement (default 10). */
  steps?: number | undefined;
  /** New file for a trace of every placement's steps, on all hosts, in Chrome's format. */
  trace?: string | undefined;
  /** All hosts (default: this one alone). */
  world?: World | undefined;
  /** Hears `warning`, `omitted`, `warmUp` and `turn`. */
  events?: RunEvents | undefined;
  /** Aborted: stops after the step under way, and throws the signal's reason. */
  signal?: AbortSignal | undefined;
}

type Omitted = [name: PlacementName, reason: string];

interface Candidates {
  candidates: Candidate[];
  /** Each placement that is not compared, and why. */
  omitted: Omitted[];
}

/** What `compare` measured. */
export interface Comparison {
  preset: string;
  /** Images a step. */
  batch: number;
  /** Timed steps of each placement. */
  steps: number;
  /** Number of hosts; absent if there is one. */
  hosts?: number;
  rows: ComparisonRow[];
}

/**
 * Times the placements of a network on noise, taking their steps in turn: split, grouped and dense on one host; with
 * several, one of them alone, replicas, towers and the hybrid.
 *
 * @returns on any host but the first, no rows
 */
export async function compare(options: CompareOptions = {}): Promise<Comparison> {
  const {
    events,
    signal,
    trace: tracePath,
    steps = 10,
    world = World.alone(),
    ...recipe
  } = options;
  const preset = recipe.preset ?? (recipe.config === undefined ? DEFAULT_PRESET : undefined);
  const asked = configurationOf({ ...recipe, preset });
  const towers = asksForTowers(recipe) ? asked.towers : undefined;
  const resolved = await resolveDevices(recipe, towers, asked.towers);
  await world.requireSame(recipeFactsOf(asked, resolved, null));
  const { backend, precision } = resolved;
  resolved.warnings.forEach((warning) => events?.emit('warning', warning));
  const { candidates, omitted } = world.isAlone
    ? placementsOf(resolved, asked.towers)
    : await hostPlacementsOf(world, asked, resolved, recipe);
  for (const [name, reason] of omitted) events?.emit('omitted', name, reason);
  // Refuses what the layer list does not allow before anything is opened.
  candidates.forEach((candidate) =>
    buildNetwork(asked.network, candidate.towers, asked.data.classes),
  );

  const trace = await HostsTrace.open(world, tracePath);
  const timed: TimedPlacement[] = [];
  const tracks: (TraceTracks | undefined)[] = [];
  const turns: { turn(): Promise<void> }[] = [];
  try {
    for (const candidate of candidates) {
      signal?.throwIfAborted();
      const { name, world: itsWorld = World.alone() } = candidate;
      if (!itsWorld.isAlone || world.isFirst) {
        events?.emit('warmUp', name);
        const ownTracks = await trace?.tracks(itsWorld, name);
        const noise = await noiseBatch(asked, signal, candidate.world?.imageShare);
        const settings = { backend, precision, trace: ownTracks, signal };
        const placement = await TimedPlacement.open(candidate, asked, settings, noise);
        timed.push(placement);
        tracks.push(ownTracks);
        await placement.warmUp(signal);
        turns.push(placement);
      } else {
        turns.push({ turn: () => Promise.resolve() });
      }
      await world.agree();
    }
    const inStep = turns.map((one) => ({
      turn: async () => {
        await one.turn();
        // Nobody begins the next turn while the first host is still in its own.
        await world.agree();
      },
    }));
    const of = steps * turns.length;
    await takeTurns(inStep, steps, (share) => {
      events?.emit('turn', { done: Math.round(share * of), of });
      signal?.throwIfAborted();
    });
    const rows = world.isFirst ? rowsOf(timed) : [];
    for (const placement of timed.splice(0)) await placement.close();
    for (const one of tracks) await one?.gather?.();
    return {
      preset: asked.name,
      batch: asked.training.batch,
      steps,
      ...(!world.isAlone && { hosts: world.processes }),
      rows,
    };
  } finally {
    for (const placement of timed) await placement.close();
    trace?.close();
  }
}

/** @param timed among them the one to which the others are compared */
function rowsOf(timed: TimedPlacement[]): ComparisonRow[] {
  const reference = timed.find(
    ({ candidate: { name } }) => name === 'dense' || name === 'one host',
  )!;
  const { median } = reference.msPerStep();
  return timed.map((placement) => placement.row(median));
}

/** The split placement as asked for, and both networks on its first worker's device with all cores. */
function placementsOf(
  { placement, towers, machine }: ResolvedPlacement,
  presetTowers: number,
): Candidates {
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
  const reasons: Omitted[] = [
    ['split', 'the towers have one device; try --gpus 0,1 or --cpu 2'],
    ['grouped', 'the network has one tower; try --towers 2'],
  ];
  const omitted = reasons.filter(([name]) =>
    candidates.every((candidate) => candidate.name !== name),
  );
  return { candidates, omitted };
}

/** The placement as asked for on the first host alone, and each parallelism that the network allows on all hosts. */
async function hostPlacementsOf(
  world: World,
  { network, data, training }: Configuration,
  { placement, towers }: ResolvedPlacement,
  devices: Devices,
): Promise<Candidates> {
  refuseTooManyShares(training.batch, world.processes);
  const candidates: Candidate[] = [
    { name: 'one host', towers, placement },
    { name: 'replicas', towers, placement, world: world.dividedOtherwise(1) },
  ];
  const omitted: Omitted[] = [];
  const addOrOmit = async (name: Parallelism, make: () => Candidate | Promise<Candidate>) => {
    try {
      candidates.push(await make());
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      omitted.push([name, error.message]);
    }
  };
  await addOrOmit('towers', async () => {
    const divided = await resolveDevices(devices, towers, towers, world.processes);
    const { processesPerReplica } = divided;
    if (processesPerReplica === 1) {
      throw new UserError('each host has all towers; try --cpu 1 or --gpus 0, with --towers 2');
    }
    const own = world.dividedOtherwise(processesPerReplica);
    return { name: 'towers', towers, placement: divided.placement, world: own };
  });
  await addOrOmit('hybrid', () => {
    divideFullyConnected(buildNetwork(network, towers, data.classes), world.processes);
    return {
      name: 'hybrid',
      towers,
      placement,
      world: world.dividedOtherwise(world.processes, true),
    };
  });
  return { candidates, omitted };
}
