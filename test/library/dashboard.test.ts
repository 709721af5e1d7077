import assert from 'node:assert/strict';
import { appendFileSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { basename, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { openDashboard, RunEvents, train } from 'twotower';
import type { Dashboard } from 'twotower';
import { loadConfiguration } from '../../src/configuration.js';
import { lockFolder } from '../../src/folder_lock.js';
import { DashboardServer } from '../../src/library/dashboard_server.js';
import { writeRun } from '../report/sample_runs.js';
import { writeSeedFolder } from '../../src/runs/seed_folder.js';
import { newRunFolder } from '../runs/some_run.js';
import { newFolder, TINY, twotower, writeTinyImages } from '../commands/command_line.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));

suite('a dashboard', () => {
  const events = new RunEvents();
  let dashboard: Dashboard;
  let port: string;

  before(async () => {
    dashboard = await openDashboard(0, events);
    port = new URL(dashboard.url).port;
  });
  after(() => dashboard.close());

  /** As a client that may send what a browser would not. */
  async function get(
    path: string,
    { host = `127.0.0.1:${port}`, method = 'GET', headers = {} } = {},
  ): Promise<{ status: number; text: string; version: string | undefined }> {
    return new Promise((resolve, reject) => {
      const options = { port, path, method, headers: { ...headers, host }, agent: false };
      request({ ...options, hostname: '127.0.0.1' }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        const { statusCode, headers } = response;
        response.on('end', () => resolve({ status: statusCode!, text, version: headers.etag }));
      })
        .on('error', reject)
        .end();
    });
  }

  test('shows the run that the events tell of, before it begins and when it is done', async () => {
    assert.equal((await get('/runs/run/')).status, 404);
    assert.match((await get('/')).text, /being prepared/);
    const data = writeTinyImages(join(folder, 'data'));
    const out = join(folder, 'run');
    await train({ config: TINY, data, cpu: 2, steps: 2, testLimit: 16, out, events });
    const { text } = await get('/runs/run/state');
    assert.match(text, /completed · step 2, epoch 1 · test top-1/);
    assert.match((await get('/runs/run/')).text, /^<!doctype html>/);
  });

  test('lists the runs of the folder, each with a link to its page', async () => {
    writeRun(join(folder, 'two words'), 20);
    const state = () => get('/state').then(({ text }) => text);
    let text = await state();
    while (!text.includes('two words')) text = await state();
    assert.match(text, /2 runs · none under way/);
    assert.match(text, /<a href="runs\/run\/">run<\/a>/);
    assert.match(text, /<a href="runs\/two%20words\/">two words<\/a>/);
    const { status, text: page } = await get('/runs/two%20words/');
    assert.equal(status, 200);
    assert.match(page, /<a href="..\/..\/">all runs<\/a>/);
  });

  test('lists the runs of several seeds by their folder, each with its page', async () => {
    writeRun(join(folder, 'several', 'seed-1'), 20);
    writeSeedFolder({ path: join(folder, 'several'), seeds: [1, 2], initial: {} });
    const state = () => get('/state').then(({ text }) => text);
    let text = await state();
    while (!text.includes('seed-1')) text = await state();
    assert.match(text, /<a href="runs\/several%2Fseed-1\/">several\/seed-1<\/a>/);
    assert.equal((await get('/runs/several%2Fseed-1/')).status, 200);
    assert.equal((await get('/runs/several%2Fseed-2/')).status, 404);
    rmSync(join(folder, 'several'), { recursive: true });
  });

  test('answers 304 where the state is the one shown', async () => {
    const { version } = await get('/state');
    const { status, text } = await get('/state', { headers: { 'if-none-match': version! } });
    assert.deepEqual([status, text], [304, '']);
  });

  for (const host of ['127.0.0.1', 'localhost', '[::1]:9000', 'localhost:9000']) {
    test(`answers a request to the host ${host}, as through a tunnel`, async () => {
      assert.equal((await get('/state', { host })).status, 200);
    });
  }

  for (const host of ['evil.example', 'evil.example:80', '127.0.0.1.evil.example', 'localhost:x']) {
    test(`refuses a request to the host ${host}`, async () => {
      assert.equal((await get('/state', { host })).status, 403);
    });
  }

  for (const path of [
    '/../../etc/passwd',
    '/%2e%2e/config.json',
    '/config.json',
    '//state',
    '/runs/data/',
    '/runs/../state',
    '/runs/%2e%2e/',
    '/runs/..%2Frun/state',
    '/runs/run/config.json',
  ]) {
    test(`has no page ${path}`, async () => {
      assert.deepEqual(await get(path).then(({ status, text }) => [status, text]), [
        404,
        'no such page',
      ]);
    });
  }

  test('takes no other method than GET', async () => {
    assert.equal((await get('/state', { method: 'POST' })).status, 405);
  });

  test('on a port that is taken is one line with the remedy, and no run is begun', async () => {
    const out = ['--cpu', '1', '--out', join(folder, 'never')];
    const { code, stderr } = await twotower([
      'train',
      '--preset',
      'demo',
      '--dashboard',
      port,
      ...out,
    ]);
    assert.equal(code, 1);
    assert.equal(
      stderr,
      `twotower: port ${port} of 127.0.0.1 is taken: name another with --dashboard PORT\n`,
    );
    assert.ok(!existsSync(join(folder, 'never')));
  });
});

test('a page that is open sees the end of its run before the dashboard closes', async () => {
  const events = new RunEvents();
  const dashboard = await openDashboard(0, events);
  const state = (): Promise<string> =>
    fetch(`${dashboard.url}runs/open/state`).then((answer) => answer.text());
  const data = writeTinyImages(join(folder, 'other data'));
  const out = join(folder, 'open');
  await train({ config: TINY, data, cpu: 1, towers: 2, steps: 1, testLimit: 16, out, events });
  await state();
  const closed = dashboard.close();
  assert.match(await state(), /completed · step 1/);
  await closed;
  await assert.rejects(state());
});

test('a malformed file is named, and not read again until another page is due', async () => {
  const run = newRunFolder(join(folder, 'malformed'), loadConfiguration({ preset: 'demo' }));
  writeFileSync(run.metricsFile, 'nonsense\n');
  const server = new DashboardServer();
  const state = `http://127.0.0.1:${await server.listen(0)}/runs/malformed/state`;
  server.show(run.path, PLACED);
  const refused = async (): Promise<void> => {
    const answer = await fetch(state);
    assert.equal(answer.status, 503);
    assert.match(await answer.text(), /metrics\.jsonl, line 1: /);
  };
  try {
    await refused();
    writeFileSync(run.metricsFile, '');
    await refused();
    server.show(run.path, PLACED);
    assert.equal((await fetch(state)).status, 200);
  } finally {
    await server.close();
  }
});

test('puts the run under way on top, with what its metrics say, and names a run that it cannot read', async () => {
  const runs = join(folder, 'several');
  const underWay = writeRun(join(runs, 'under way'), 20);
  rmSync(join(underWay, 'summary.json'));
  const lock = lockFolder(underWay, 'trains in');
  writeRun(join(runs, 'later'), 20);
  const damaged = newRunFolder(join(runs, 'damaged'), loadConfiguration({ preset: 'demo' }));
  writeFileSync(damaged.configurationFile, '{');
  appendFileSync(join(underWay, 'metrics.jsonl'), stepLine(1234));
  const server = new DashboardServer();
  const page = `http://127.0.0.1:${await server.listen(0)}/`;
  server.show(underWay, PLACED);
  try {
    const text = await fetch(page).then((answer) => answer.text());
    assert.match(text, /3 runs · under way: under way</);
    const [, first, ...others] = text.split('<th scope="row">');
    assert.match(first!, /^<a href="runs\/under%20way\/">under way/);
    assert.match(first!, /data-heading="step">\s*1,234</);
    assert.match(first!, /data-heading="images\/s">\s*77\.0</);
    const row = others.find((other) => other.includes('>damaged<'))!;
    assert.match(row, /unreadable.*config\.json is not valid JSON/s);
  } finally {
    lock.release();
    await server.close();
  }
});

test('tells where the ranks of the run under way are, and of no other', async () => {
  const [underWay, other] = ['placed', 'not placed'].map((name) => {
    const path = writeRun(join(folder, 'ranks', name), 20);
    rmSync(join(path, 'summary.json'));
    return path;
  });
  const server = new DashboardServer();
  const runs = `http://127.0.0.1:${await server.listen(0)}/runs`;
  server.show(underWay!, PLACED);
  try {
    const [text, otherText] = await Promise.all(
      [underWay!, other!].map((path) =>
        fetch(`${runs}/${encodeURIComponent(basename(path))}/`).then((answer) => answer.text()),
      ),
    );
    assert.match(text!, /gpu:1 on host-b.*some backend/s);
    assert.doesNotMatch(otherText!, /some backend/);
  } finally {
    await server.close();
  }
});

const PLACED = {
  placement: [{ rank: 1, device: 'gpu:1', requested: 'gpu:1', host: 'host-b' }],
  backend: 'some backend',
};

/** A line of `metrics.jsonl`. */
function stepLine(step: number): string {
  const times = { stepMs: 1, forwardMs: 1, backwardMs: 1, exchangeMs: 1, exchangeWaitMs: 1 };
  const rest = { learningRate: 0.1, imagesPerSecond: 77, exchangeBytes: 1, updateMs: 1 };
  const line = { event: 'train', step, epoch: 3, loss: 1, accuracy: 0.5, dataWaitMs: 1 };
  return `${JSON.stringify({ ...line, ...times, ...rest })}\n`;
}
