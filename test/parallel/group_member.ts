/** A process of the test of `process_group.ts`: takes part in every operation and prints what came of it as JSON. */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { microseconds } from '../../src/clock.js';
import { ProcessGroup } from '../../src/parallel/process_group.js';
import type { GroupHandle, MpiName } from '../../src/parallel/process_group.js';

/** More than two of the pieces into which a sum is cut. */
const MANY = 2_500_000;
const LONG_MS = 60_000;

/** What a process has seen. */
export interface GroupReport {
  rank: number;
  size: number;
  version: string;
  threadLevel: string;
  sums: number[];
  /** Whether the times of a sum are in the interval in which it was waited for. */
  isTimed: boolean;
  firstAndLastOfMany: number[];
  copied: number[];
  isPendingAtFirst: boolean;
  received: number[];
  ofHalf: { rank: number; size: number; sum: number };
  fromThreads: number[];
}

/** Sends this process's number around the ring, from a worker thread. */
function passOn(handle: GroupHandle, tag: number): number {
  const group = new ProcessGroup(handle);
  const { rank, size } = group;
  const received = new Int32Array(new SharedArrayBuffer(4));
  const arrival = group.receive(received, (rank + size - 1) % size, tag);
  const departure = group.send(Int32Array.of(rank * 100 + tag), (rank + 1) % size, tag);
  for (const ticket of [arrival, departure]) while (!group.wait(ticket, 10));
  return received[0]!;
}

async function inThread(handle: GroupHandle, tag: number): Promise<number> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { handle, tag } });
  return new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject));
}

async function takePart(mpi: MpiName): Promise<GroupReport> {
  const world = ProcessGroup.ofWorld(mpi);
  const { rank, size } = world;
  const complete = async (ticket: number): Promise<void> => {
    if (!(await world.finished(ticket, LONG_MS))) throw new Error('not done in a minute');
  };

  const sums = Float64Array.of(rank, 1, 0.1);
  const times = new Float64Array(2);
  const before = microseconds();
  await complete(world.allReduce(sums, { times }));
  const [began, ended] = [...times] as [number, number];
  const isTimed = before <= began && began < ended && ended <= microseconds();
  const many = new Float32Array(new SharedArrayBuffer(MANY * 4)).fill(rank + 1);
  await complete(world.allReduce(many));
  const copied = Int32Array.of(rank, rank + 1);
  await complete(world.broadcast(copied, size - 1));

  // The others wait at the barrier for the first process, which has not come to it yet.
  const held = new Int32Array(1);
  const isPendingAtFirst = rank === 0 && !world.wait(world.receive(held, 1, 5), 1);
  await complete(world.barrier());
  const received = new Float32Array(2);
  if (rank === 0) await complete(world.receive(received, 1, 6));
  else if (rank === 1) {
    await complete(world.send(Int32Array.of(7), 0, 5));
    await complete(world.send(Float32Array.of(0.5, -2), 0, 6));
  }

  const half = world.split(rank % 2, size - rank);
  const sum = Float32Array.of(rank);
  if (!half.wait(half.allReduce(sum), LONG_MS)) throw new Error('no sum of the half');
  const fromThreads = await Promise.all([1, 2].map((tag) => inThread(world.handle, tag)));
  const { version, threadLevel } = world;
  await complete(world.barrier());
  world.finalize();
  return {
    rank,
    size,
    version,
    threadLevel,
    sums: [...sums],
    isTimed,
    firstAndLastOfMany: [many[0]!, many.at(-1)!],
    copied: [...copied],
    isPendingAtFirst,
    received: [...received],
    ofHalf: { rank: half.rank, size: half.size, sum: sum[0]! },
    fromThreads,
  };
}

if (isMainThread) {
  process.stdout.write(`${JSON.stringify(await takePart(process.argv[2] as MpiName))}\n`);
} else {
  const { handle, tag } = workerData as { handle: GroupHandle; tag: number };
  parentPort!.postMessage(passOn(handle, tag));
}
