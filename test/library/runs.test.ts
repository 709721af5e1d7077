import assert from 'node:assert/strict';
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { loadConfiguration } from '../../src/configuration.js';
import { lockFolder } from '../../src/folder_lock.js';
import { compareRuns, listRuns } from '../../src/library/runs.js';
import { writeSeedFolder } from '../../src/runs/seed_folder.js';
import { newFolder, succeeds } from '../commands/command_line.js';
import { writeRun } from '../report/sample_runs.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));
const runs = join(folder, 'runs');

suite('a folder of runs', () => {
  before(() => {
    mkdirSync(join(runs, 'no run'), { recursive: true });
    writeRun(join(runs, 'long'), 40);
    writeRun(join(runs, 'short'), 20);
    for (const file of ['config.json', 'metrics.jsonl', 'summary.json']) {
      utimesSync(join(runs, 'long', file), 1e9, 1e9);
    }
  });

  test('lists them, the one changed last first', () => {
    const paths = listRuns(runs).map(({ path }) => path);
    assert.deepEqual(paths, [join(runs, 'short'), join(runs, 'long')]);
  });

  test('says how far each one is', () => {
    const { status, preset, step, last, imagesPerSecond, changed } = listRuns(runs)[1]!;
    assert.deepEqual(
      { status, preset, step, last, imagesPerSecond, changed },
      {
        status: 'completed',
        preset: 'demo',
        step: 40,
        last: 0.76,
        imagesPerSecond: 600,
        changed: '2001-09-09T01:46:40.000Z',
      },
    );
  });

  test('lists the runs of several seeds, each by its path', () => {
    const several = join(runs, 'several');
    writeRun(join(several, 'seed-2'), 20);
    writeSeedFolder({ path: several, seeds: [1, 2], initial: {} });
    const paths = listRuns(runs).map(({ path }) => path);
    assert.ok(paths.includes(join(several, 'seed-2')), paths.join());
    assert.ok(!paths.includes(several));
    rmSync(several, { recursive: true });
  });

  test('tells a run that another process trains from one that was killed', () => {
    const run = join(runs, 'short');
    const statusNow = () => listRuns(runs).find(({ path }) => path === run)!.status;
    rmSync(join(run, 'summary.json'));
    assert.equal(statusNow(), 'killed');
    const lock = lockFolder(run, 'trains in');
    lock.release();
    const elsewhere = { ...(JSON.parse(lock.held.text) as object), host: 'another host' };
    writeFileSync(join(run, 'lock'), JSON.stringify(elsewhere));
    assert.equal(statusNow(), 'training');
    rmSync(join(run, 'lock'));
  });

  test('names a run that cannot be read, beside the others', async () => {
    const damaged = join(runs, 'damaged');
    mkdirSync(damaged);
    writeFileSync(join(damaged, 'config.json'), '{');
    const { status, error } = listRuns(runs).find(({ path }) => path === damaged)!;
    assert.equal(status, 'unreadable');
    assert.match(error!, /config\.json is not valid JSON/);
    const { stdout, stderr } = await succeeds(['runs'], { cwd: folder });
    assert.match(stdout, /^runs\/long /m);
    assert.match(stderr, /^runs\/damaged cannot be read: .*config\.json/m);
    rmSync(damaged, { recursive: true });
  });

  test('is printed as a table, and compared, by the command', async () => {
    const cwd = folder;
    const { stdout } = await succeeds(['runs'], { cwd, environment: { COLUMNS: '120' } });
    assert.match(stdout, /^run +preset +status +epoch +best +last +images\/s +changed$/m);
    assert.match(
      stdout,
      /^runs\/long +demo +completed +.* 76\.00 % +600\.0 +2001-09-0\d \d\d:46$/m,
    );
    const compared = await succeeds(['runs', '--compare', 'runs/long', 'runs/short'], { cwd });
    assert.equal(compared.stdout, 'the settings are the same\n');
  });
});

test('runs are compared by the settings and layers that differ', () => {
  const write = (name: string, settings: string[]): string => {
    const path = join(folder, name);
    mkdirSync(path);
    const configuration = loadConfiguration({ preset: 'demo', settings });
    writeFileSync(join(path, 'config.json'), JSON.stringify(configuration));
    return path;
  };
  const one = write('one', []);
  const other = write('other', ['training.batch=32', 'network.layers.0.kernels=64']);
  const [batch, layer, ...more] = compareRuns([one, other]);
  assert.deepEqual(batch, { field: 'training.batch', values: ['64', '32'] });
  assert.equal(layer!.field, 'layer 1');
  assert.match(layer!.values[1]!, /kernels 64/);
  assert.deepEqual(more, []);
});
