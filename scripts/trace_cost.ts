/**
 * What `--trace` costs: the demo network split over two CPU workers, untraced, traced and untraced again,
 * taking their steps in turn. Prints the median step of each and its ratio to the two untraced ones' mean in
 * the same turn; what those differ by is chance and what a place in the turn makes.
 *
 *     node dist/scripts/trace_cost.js [STEPS]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfiguration } from '../src/configuration.js';
import { resolveDevices } from '../src/library/devices.js';
import { quantile } from '../src/report/quantiles.js';
import { TraceFile } from '../src/report/trace.js';
import { noiseBatch, takeTurns, TimedPlacement } from '../src/training/comparison.js';

const steps = Number(process.argv[2] ?? '200');
const folder = mkdtempSync(join(tmpdir(), 'twotower-trace-cost-'));
const file = new TraceFile(join(folder, 'trace.json'));
const configuration = loadConfiguration({ preset: 'demo' });
const { placement, towers, backend, precision } = await resolveDevices({ cpu: 2 }, 2, 2);
const batch = await noiseBatch(configuration);
const contenders = await Promise.all(
  ['untraced', 'traced', 'untraced again'].map(async (name) => {
    const trace = name === 'traced' ? file.group(name) : undefined;
    const candidate = { name: 'split' as const, towers, placement };
    const numerics = { backend, precision, trace };
    const timed = await TimedPlacement.open(candidate, configuration, numerics, batch);
    await timed.warmUp();
    const milliseconds: number[] = [];
    // With the fetching of the spans, which is not part of the step itself.
    const turn = async (): Promise<void> => {
      const start = performance.now();
      await timed.turn();
      milliseconds.push(performance.now() - start);
    };
    return { name, timed, milliseconds, turn };
  }),
);
try {
  await takeTurns(contenders, steps);
  const [first, , last] = contenders;
  for (const { name, milliseconds } of contenders) {
    const ratio = quantile(
      milliseconds.map(
        (value, step) => (2 * value) / (first!.milliseconds[step]! + last!.milliseconds[step]!),
      ),
      0.5,
    );
    console.log(
      `${name}: ${quantile(milliseconds, 0.5).toFixed(2)} ms a step, ratio ${ratio.toFixed(4)}`,
    );
  }
} finally {
  for (const { timed } of contenders) await timed.close();
  file.close();
  rmSync(folder, { recursive: true });
}
