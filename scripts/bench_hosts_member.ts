/**
 * A process of `bench_hosts.ts`, started by mpirun on one of its hosts: times sums over all hosts, and steps of AlexNet,
 * as a replica and in a hybrid, whose computing is a wait of as long as a GPU's. The first process prints the figures as
 * JSON.
 */
import { plan } from '../src/library/plan.js';
import { ProcessGroup } from '../src/parallel/process_group.js';
import { HybridExchange } from './bench_hybrid_exchange.js';

/** What is timed. */
export interface HostsTask {
  /** Bytes of each sum. */
  sums: number[];
  /** Computing time of a step, milliseconds; the backward pass takes two thirds of it. */
  stepMs: number;
  /** Images of each host. */
  images: number;
  /** Times that each is repeated; the median counts. */
  repetitions: number;
}

interface ReplicaFigures {
  /** A replica's step with its communication, overlapped or after the backward pass, and the communication alone. */
  overlappedMs: number;
  sequentialMs: number;
  communicationMs: number;
}

interface HybridFigures {
  /** A hybrid's step, and its communication alone. */
  hybridMs: number;
  hybridCommunicationMs: number;
}

export interface HostsFigures extends ReplicaFigures, HybridFigures {
  /** Of each sum, milliseconds. */
  sumMs: number[];
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

interface TimedLayer {
  name: string;
  /** Of its forward and backward pass together. */
  milliseconds: number;
  /** Its gradient. */
  values: Float32Array;
}

/** AlexNet's layers with parameters. */
function timedLayers(): TimedLayer[] {
  const { layers, total } = plan({ preset: 'alexnet-paper' });
  const own = layers.filter(({ parameters }) => parameters > 0);
  return own.map(({ name, macs, parameters }) => ({
    name,
    milliseconds: (task.stepMs * macs) / total.macs,
    values: shared(parameters),
  }));
}

const isAlone = world.size === 1;

function begin({ values }: TimedLayer): number[] {
  return isAlone ? [] : [gradients.allReduce(values)];
}

/** Computes the layer's gradient, and sends it if it is large. @param pace of computing; 0 leaves it out */
function backward(layer: TimedLayer, pace: number): number[] {
  wait((pace * 2 * layer.milliseconds) / 3);
  return layer.values.length < LARGE ? [] : begin(layer);
}

function timeReplica(inOrder: TimedLayer[]): ReplicaFigures {
  const layers = inOrder.toReversed();
  const small = layers.filter(({ values }) => values.length < LARGE);
  const overlapped = timed(() => {
    wait(task.stepMs / 3);
    const tickets = layers.flatMap((layer) => backward(layer, 1));
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

/** As the program does it: a fully-connected layer waits for what it reads, and for the gradient of that. */
function timeHybrid(layers: TimedLayer[]): HybridFigures {
  const exchange = isAlone ? null : new HybridExchange(world, task.images);
  const convolutional = layers.filter(({ name }) => exchange?.isDivided(name) !== true);
  const small = convolutional.filter(({ values }) => values.length < LARGE);
  const step = (pace: number): number =>
    timed(() => {
      exchange?.begin();
      for (const { name, milliseconds } of layers) {
        exchange?.forward(name);
        wait((pace * milliseconds) / 3);
      }
      exchange?.gatherLogits();
      const tickets = layers.toReversed().flatMap((layer) => {
        if (exchange?.isDivided(layer.name) !== true) return backward(layer, pace);
        wait((pace * 2 * layer.milliseconds) / 3);
        exchange.backward(layer.name);
        return [];
      });
      for (const ticket of [...tickets, ...small.flatMap(begin)]) complete(gradients, ticket);
    });
  return { hybridMs: step(1), hybridCommunicationMs: step(0) };
}

const layers = timedLayers();
const figures: HostsFigures = {
  sumMs: task.sums.map(timeSum),
  ...timeReplica(layers),
  ...timeHybrid(layers),
};
if (world.rank === 0) console.log(JSON.stringify(figures));
world.finalize();
