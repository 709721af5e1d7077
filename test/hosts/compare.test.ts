/** `compare` on two hosts times one of them alone against both. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { Comparison } from '../../src/library/compare.js';
import { whyNoMpi } from '../../src/parallel/process_group.js';
import { TINY, programOf, startProgram } from '../commands/command_line.js';
import type { Outcome } from '../commands/command_line.js';
import { readTrace } from '../report/trace_reader.js';
import { HostsWorkbench } from './hosts_workbench.js';
import { launchEach } from './launchers.js';

const bench = new HostsWorkbench(2);
after(() => bench.remove());

const REPORT = join(bench.folder, 'comparison.html');
const TRACE = join(bench.folder, 'trace.json');

async function compareOnHosts(options: string[]): Promise<Outcome> {
  const words = ['compare', '--config', TINY, '--steps', '3', ...options];
  const programs = [0, 1].map(() => programOf(words));
  const launcher = launchEach('openmpi', bench.hosts, programs, bench.folder);
  const { program, environment } = launcher;
  const outcome = await startProgram([program, ...launcher.words], { environment }).outcome;
  assert.equal(outcome.code, 0, outcome.stderr);
  return outcome;
}

suite('compare on two hosts', { skip: whyNoMpi('openmpi') ?? false }, () => {
  let comparison: Comparison;

  before(async () => {
    const options = ['--cpu', '1', '--towers', '2', '--json', '--report', REPORT, '--trace', TRACE];
    const { stdout } = await compareOnHosts(options);
    comparison = JSON.parse(stdout) as Comparison;
  });

  test('times one host alone and every parallelism, each with the whole batch', () => {
    const { hosts, batch, rows } = comparison;
    assert.equal(hosts, 2);
    assert.deepEqual(
      rows.map(({ name, placement }) => [name, placement]),
      [
        ['one host', [[0, 1]]],
        ['replicas', [[0, 1]]],
        ['towers', [[0]]],
        ['hybrid', [[0, 1]]],
      ],
    );
    const [{ msPerStep: alone }] = rows as [Comparison['rows'][0]];
    for (const { msPerStep, imagesPerSecond, speedup } of rows) {
      assert.equal(imagesPerSecond, (batch / msPerStep.median) * 1000);
      assert.equal(speedup, alone.median / msPerStep.median);
    }
  });

  test('gives each replica, and each host of a hybrid, its share of the batch', () => {
    const peakOf = (name: string): number =>
      comparison.rows.find((row) => row.name === name)!.workers[0]!.peakBytes;
    // Nearly all of it are activations of the convolutional layers.
    for (const name of ['replicas', 'hybrid']) {
      const share = peakOf(name) / peakOf('one host');
      assert.ok(share > 0.4 && share < 0.7, `${name}: ${share}`);
    }
  });

  test('has the communication between the hosts, and what of it was waited for', () => {
    const [alone, ...others] = comparison.rows;
    assert.equal(alone!.parts.communicationMs, undefined);
    for (const { name, parts } of others) {
      assert.ok(parts.communicationMs! > 0 && parts.exposedMs! > 0, name);
    }
  });

  test('calls the rows of the report by the number of hosts', () => {
    const page = readFileSync(REPORT, 'utf8');
    for (const name of ['one host', 'replicas, 2 hosts', 'towers, 2 hosts', 'hybrid, 2 hosts']) {
      assert.ok(page.includes(`>${name}<`), name);
    }
  });

  test('traces every placement on each host that takes part', () => {
    const steps = new Map<string, number>();
    for (const { group, track, name } of readTrace(TRACE)) {
      if (track !== 'coordinator' || !name.startsWith('step ')) continue;
      steps.set(group, (steps.get(group) ?? 0) + 1);
    }
    const onBoth = ['replicas', 'towers', 'hybrid'].flatMap((placement) =>
      [0, 1].map((host) => `${placement} on ${bench.hostName(host)}`),
    );
    // Two steps warm up, three are timed.
    assert.deepEqual(steps, new Map(['one host', ...onBoth].map((group) => [group, 5])));
  });

  test('leaves out what the devices do not allow, says why, and prints the others', async () => {
    const { stdout, stderr } = await compareOnHosts(['--cpu', '2']);
    assert.match(
      stderr,
      /^towers is left out: each host has all towers; try --cpu 1 or --gpus 0, with --towers 2$/m,
    );
    assert.match(stdout, /^replicas, 2 hosts +\d/m);
    assert.doesNotMatch(stdout, /^towers/m);
  });
});
