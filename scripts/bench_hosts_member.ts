/**
 * A process of `bench_hosts.ts`, started by mpirun on one of its hosts: times sums over all hosts, and steps of AlexNet
 * whose computing is a wait of as long as a GPU's. The first process prints the figures as JSON.
 */
import { plan } from '../src/library/plan.js';
import { ProcessGroup } from '../src/parallel/process_group.js';

/** What is timed. */
export interface HostsTask {
  /** Bytes of each sum. */
  sums: number[];
  /** Computing time of a step, milliseconds; the backward pass takes two thirds of it. */
  stepMs: number;
  /** Times that each is repeated; the median counts. */
  repetitions: number;
}

export interface HostsFigures {
  /** Of each sum, milliseconds. */
  sumMs: number[];
  /** A step with its communication, overlapped or after the backward pass, and the communication alone. */
  overlappedMs: number;
  sequentialMs: number;
  communicationMs: number;
}

const LONG_MS = 10 * 60 * 1000;

/** Smaller gradients travel together, as in `src/parallel/gradient_reduction.ts`. */
const LARGE = 1 << 16;

const task = JSON.parse(process.argv[2]!) as HostsTask;
// As src/parallel/join_world.ts has it.
process.env['OMPI_MCA_coll_libnbc_iallreduce_algorithm'] ??= '1';
const world = ProcessGroup.ofWorld('openmpi');
const gradients = world.split(0);

function complete(group: ProcessGroup, ticket: number): void {
  if (!group.wait(ticket, LONG_MS)) throw new Error('a collective is not done in ten minutes');
}

/** Milliseconds of `work` on the slowest process, the median. */
function timed(work: () => void): number {
  const times = Array.from({ length: task.repetitions }, () => {
    complete(world, world.barrier());
    const start = performance.now();
    work();
    complete(world, world.barrier());
    return performance.now() - start;
  });
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]!;
}

const shared = (values: number): Float32Array =>
  new Float32Array(new SharedArrayBuffer(4 * values)).fill(world.rank + 1);

function timeSum(bytes: number): number {
  const values = shared(bytes / 4);
  return timed(() => complete(world, world.allReduce(values)));
}

const cell = new Int32Array(new SharedArrayBuffer(4));

/** Leaves the core idle, as a thread that waits for its GPU. */
function wait(milliseconds: number): void {
  Atomics.wait(cell, 0, 0, milliseconds);
}

/** AlexNet's layers with parameters in the order of their gradients: the time of each, and the values to sum. */
function backward(): { milliseconds: number; values: Float32Array }[] {
  const { layers, total } = plan({ preset: 'alexnet-paper' });
  const own = layers.filter(({ parameters }) => parameters > 0).toReversed();
  return own.map(({ macs, parameters }) => ({
    milliseconds: ((2 / 3) * task.stepMs * macs) / total.macs,
    values: shared(parameters),
  }));
}

function timeSteps(): Omit<HostsFigures, 'sumMs'> {
  const layers = backward();
  const small = layers.filter(({ values }) => values.length < LARGE);
  const isAlone = world.size === 1;
  const begin = ({ values }: { values: Float32Array }): number[] =>
    isAlone ? [] : [gradients.allReduce(values)];
  const overlapped = timed(() => {
    wait(task.stepMs / 3);
    const tickets = layers.flatMap((layer) => {
      wait(layer.milliseconds);
      return layer.values.length < LARGE ? [] : begin(layer);
    });
    for (const ticket of [...tickets, ...small.flatMap(begin)]) complete(gradients, ticket);
  });
  const communication = timed(() => {
    for (const ticket of layers.flatMap(begin)) complete(gradients, ticket);
  });
  const sequential = timed(() => {
    wait(task.stepMs);
    for (const ticket of layers.flatMap(begin)) complete(gradients, ticket);
  });
  return { overlappedMs: overlapped, sequentialMs: sequential, communicationMs: communication };
}

const figures: HostsFigures = { sumMs: task.sums.map(timeSum), ...timeSteps() };
if (world.rank === 0) console.log(JSON.stringify(figures));
world.finalize();
