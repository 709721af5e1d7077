import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { UserError } from '../../src/errors.js';
import {
  resolvePlacement,
  type Machine,
  type PlacementRequest,
} from '../../src/parallel/placement.js';

const NO_GPUS: Machine = { gpus: [], cores: 8 };

function withGpus(...ordinals: number[]): Machine {
  return { gpus: ordinals.map((ordinal) => ({ ordinal, name: `card ${ordinal}` })), cores: 8 };
}

/** A placement as the cases below write it: each worker's ranks, and its device. */
function placed(request: PlacementRequest, machine: Machine, presetTowers = 2) {
  const { placement, towers, warnings } = resolvePlacement(request, presetTowers, machine);
  return {
    towers,
    ranks: placement.map(({ ranks }) => ranks),
    devices: placement.map(({ device }) => device),
    requested: placement.map(({ requested }) => requested),
    threads: placement.map(({ threads }) => threads),
    warnings,
  };
}

test('workers on one GPU divide its part of --gpu-memory', () => {
  const request = { gpus: [0, 0, 1], gpuMemory: 0.5 };
  const { placement } = resolvePlacement(request, 3, withGpus(0, 1));
  assert.deepEqual(
    placement.map(({ gpuMemory }) => gpuMemory),
    [0.25, 0.25, 0.5],
  );
});

function refuses(request: PlacementRequest, machine: Machine, message: RegExp): void {
  assert.throws(
    () => resolvePlacement(request, 2, machine),
    (error) => error instanceof UserError && message.test(error.message),
  );
}

const ROWS: { command: string; request: PlacementRequest; ranks: number[][]; gpus: number[] }[] = [
  { command: '--gpus 0,1', request: { gpus: [0, 1] }, ranks: [[0], [1]], gpus: [0, 1] },
  { command: '--gpus 0', request: { gpus: [0] }, ranks: [[0]], gpus: [0] },
  {
    command: '--gpus 0 --towers 2',
    request: { gpus: [0], towers: 2 },
    ranks: [[0, 1]],
    gpus: [0],
  },
  { command: '--gpus 0,0', request: { gpus: [0, 0] }, ranks: [[0], [1]], gpus: [0, 0] },
  {
    command: '--gpus 0,1,2,3',
    request: { gpus: [0, 1, 2, 3] },
    ranks: [[0], [1], [2], [3]],
    gpus: [0, 1, 2, 3],
  },
  {
    command: '--gpus 0,1 --towers 4',
    request: { gpus: [0, 1], towers: 4 },
    ranks: [
      [0, 1],
      [2, 3],
    ],
    gpus: [0, 1],
  },
  { command: '--gpus 3,1', request: { gpus: [3, 1] }, ranks: [[0], [1]], gpus: [3, 1] },
];

for (const { command, request, ranks, gpus } of ROWS) {
  const towers = ranks.flat().length;
  const devices = gpus.map((ordinal) => `gpu:${ordinal}`);

  test(`${command} with these GPUs is ${JSON.stringify(ranks)} on them`, () => {
    const { threads, ...rest } = placed(request, withGpus(0, 1, 2, 3));
    assert.deepEqual(rest, { towers, ranks, devices, requested: devices, warnings: [] });
    assert.deepEqual(threads, Array(ranks.length).fill(8 / ranks.length));
  });

  test(`${command} without a GPU is ${JSON.stringify(ranks)} on CPU workers, with a warning`, () => {
    const { warnings, threads, ...rest } = placed(request, NO_GPUS);
    const cpus = devices.map(() => 'cpu');
    assert.deepEqual(rest, { towers, ranks, devices: cpus, requested: devices });
    assert.deepEqual(threads, Array(ranks.length).fill(8 / ranks.length));
    assert.equal(warnings.length, 1);
    assert.match(
      warnings[0]!,
      new RegExp(`^no usable GPU on this host: ${devices.join(' and ')} `),
    );
  });

  test(`${command} --require-gpu without a GPU is refused`, () => {
    const required = { ...request, requireGpu: true };
    refuses(required, NO_GPUS, /^gpu:\d is required .* run `twotower doctor`/);
  });
}

suite('--cpu 2', () => {
  for (const [machine, name] of [
    [NO_GPUS, 'without a GPU'],
    [withGpus(0, 1), 'with GPUs'],
  ] as const) {
    test(`is two CPU workers ${name}, without a warning`, () => {
      assert.deepEqual(placed({ cpu: 2 }, machine), {
        towers: 2,
        ranks: [[0], [1]],
        devices: ['cpu', 'cpu'],
        requested: ['cpu', 'cpu'],
        threads: [4, 4],
        warnings: [],
      });
    });
  }

  test('with --require-gpu is refused', () => {
    refuses({ cpu: 2, requireGpu: true }, withGpus(0, 1), /^--require-gpu: .*--gpus$/);
  });
});

suite('among several processes', () => {
  /** The first process's placement, the number of towers and the processes of a replica. */
  const among = (processes: number, request: PlacementRequest, presetTowers = 2) => {
    const resolved = resolvePlacement(request, presetTowers, NO_GPUS, processes);
    const ranks = resolved.placement.map((worker) => worker.ranks);
    return [resolved.towers, resolved.processesPerReplica, ranks];
  };

  for (const [name, processes, request, expected] of [
    ['workers that are named have a tower each', 2, { cpu: 2 }, [4, 2, [[0], [1]]]],
    ["the preset's towers are divided", 2, {}, [2, 2, [[0]]]],
    ['more processes than towers are several replicas', 4, {}, [2, 2, [[0]]]],
    ['several towers may be on a worker', 2, { cpu: 1, towers: 4 }, [4, 2, [[0, 1]]]],
    ['one process that has all towers is a replica', 2, { cpu: 2, towers: 2 }, [2, 1, [[0], [1]]]],
  ] as const) {
    test(name, () => assert.deepEqual(among(processes, request), expected));
  }

  test('towers that they cannot share evenly are refused', () => {
    assert.throws(
      () => among(3, { cpu: 1, towers: 4 }),
      /^UserError: 4 towers cannot be divided evenly among processes of 1 worker, of which there are 3: /,
    );
  });
});

suite('without devices', () => {
  test("the preset's towers are on the visible GPUs", () => {
    const { ranks, devices } = placed({}, withGpus(0, 1, 2), 2);
    assert.deepEqual(ranks, [[0], [1]]);
    assert.deepEqual(devices, ['gpu:0', 'gpu:1']);
  });

  test('more towers than GPUs share them', () => {
    const { ranks, devices } = placed({ towers: 4 }, withGpus(0, 1), 2);
    assert.deepEqual(ranks, [[0], [1], [2], [3]]);
    assert.deepEqual(devices, ['gpu:0', 'gpu:1', 'gpu:0', 'gpu:1']);
  });

  test('on a host without a GPU they are CPU workers, without a warning', () => {
    const { devices, requested, warnings } = placed({}, NO_GPUS, 2);
    assert.deepEqual([devices, requested], Array(2).fill(['cpu', 'cpu']));
    assert.deepEqual(warnings, []);
  });

  test('a one-tower preset is dense', () => {
    assert.deepEqual(placed({}, withGpus(0, 1), 1).ranks, [[0]]);
  });

  test('--require-gpu on a host without a GPU is refused', () => {
    refuses({ requireGpu: true }, NO_GPUS, /^--require-gpu: no usable GPU on this host; run /);
  });
});

suite('a backend that computes only on the CPU', () => {
  const cpuBackend = { ...NO_GPUS, cpuBackend: 'native' } as const;

  test('carries out GPUs by CPU workers, and says that it is the reason', () => {
    assert.deepEqual(placed({ gpus: [0, 1] }, cpuBackend).warnings, [
      'backend native computes only on the CPU: gpu:0 and gpu:1 are carried out by CPU workers (leave --backend out for GPUs)',
    ]);
  });

  test('is refused with --require-gpu', () => {
    const required = { gpus: [0], requireGpu: true };
    refuses(required, cpuBackend, /^gpu:0 is required .*: backend native .*; leave --backend out/);
  });
});

suite('a number of workers or towers that no network has', () => {
  for (const request of [{ cpu: 0 }, { cpu: 1e9 }, { gpus: [] }, { towers: 1e9 }]) {
    test(`is refused: ${JSON.stringify(request)}`, () => {
      refuses(request, NO_GPUS, /^\d+ (workers|towers): give a number from 1 to 1024$/);
    });
  }
});

suite('what a machine has not', () => {
  test('a GPU ordinal is refused with those that there are', () => {
    refuses(
      { gpus: [0, 7] },
      withGpus(0, 2),
      /^GPU 7 does not exist on this host: there are 0 \(card 0\), 2 \(card 2\)$/,
    );
  });

  test('a GPU ordinal is refused with the variable that hides GPUs', () => {
    refuses(
      { gpus: [1] },
      { ...withGpus(0), visibleGpus: '3' },
      /^GPU 1 does not exist on this host: there are 0 \(card 0\); CUDA_VISIBLE_DEVICES=3 hides all others$/,
    );
  });

  test('towers that the workers cannot share evenly are refused', () => {
    refuses(
      { gpus: [0, 1], towers: 3 },
      NO_GPUS,
      /^3 towers cannot be divided evenly among 2 workers: /,
    );
  });

  test('--gpus and --cpu together are refused', () => {
    refuses({ gpus: [0], cpu: 2 }, NO_GPUS, /^--gpus and --cpu exclude each other: give one/);
  });

  test('more workers than cores have one thread each', () => {
    assert.deepEqual(placed({ cpu: 4 }, { gpus: [], cores: 2 }).threads, [1, 1, 1, 1]);
  });
});

suite('CPU threads per worker', () => {
  test('are an equal share of the cores by default', () => {
    assert.deepEqual(placed({ cpu: 2 }, { gpus: [], cores: 300 * 2 }).threads, [300, 300]);
  });

  test('are what --threads says, whatever the cores', () => {
    assert.deepEqual(placed({ cpu: 2, threads: 3 }, NO_GPUS).threads, [3, 3]);
  });

  for (const threads of [0, 1.5, 1025, NaN]) {
    test(`cannot be ${threads}`, () => {
      refuses({ cpu: 1, threads }, NO_GPUS, /^--threads .*: give a whole number from 1 to 1024$/);
    });
  }
});
