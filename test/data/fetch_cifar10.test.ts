import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { suite, test } from 'node:test';
import { create } from 'tar';
import { openCifar10 } from '../../src/data/cifar10.js';
import { fetchCifar10 } from '../../src/data/fetch_cifar10.js';
import { randomRecords } from './records.js';
import { temporaryFolder } from './temporary.js';
import { userError } from './user_error.js';

const FOLDER = 'cifar-10-batches-bin';
const NAMES = [1, 2, 3, 4, 5].map((number) => `data_batch_${number}.bin`);

/** An archive of the official one's layout with four images a file, and what `change` makes of it. */
async function archiveOf(change: (folder: string) => void = () => {}): Promise<Buffer> {
  const root = temporaryFolder();
  const folder = path.join(root, FOLDER);
  mkdirSync(folder);
  for (const name of [...NAMES, 'test_batch.bin']) {
    writeFileSync(path.join(folder, name), randomRecords(name, [0, 1, 2, 3]));
  }
  writeFileSync(path.join(folder, 'batches.meta.txt'), 'a\nb\nc\nd\n');
  change(folder);
  const file = path.join(root, 'archive.tar.gz');
  await create({ file, cwd: root, gzip: true }, [FOLDER]);
  return readFileSync(file);
}

const archive = await archiveOf();
const expectedOf = (bytes: Buffer) => ({
  bytes: bytes.length,
  md5: createHash('md5').update(bytes).digest('hex'),
});

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** The whole file, or the part that is asked for. */
const honest =
  (bytes = archive): Answer =>
  (request, response) => {
    const begin = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const range = `bytes ${begin}-${bytes.length - 1}/${bytes.length}`;
    response.writeHead(begin > 0 ? 206 : 200, {
      'content-length': bytes.length - begin,
      ...(begin > 0 && { 'content-range': range }),
    });
    response.end(bytes.subarray(begin));
  };

/** Promises the whole file, sends so many bytes of it and breaks the connection. */
const breaksOff =
  (count: number): Answer =>
  (_, response) => {
    response.writeHead(200, { 'content-length': archive.length });
    response.write(archive.subarray(0, count), () => response.destroy());
  };

interface Served {
  /** The ranges that were asked for. */
  ranges: (string | undefined)[];
  directory: string;
  fetch: (options?: Partial<Parameters<typeof fetchCifar10>[0]>) => ReturnType<typeof fetchCifar10>;
}

/** A server that gives one answer after another, the last one again and again, while `work` runs. */
async function serving(answers: Answer[], work: (served: Served) => Promise<void>): Promise<void> {
  const ranges: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    const answer = answers[Math.min(ranges.length, answers.length - 1)]!;
    ranges.push(request.headers.range);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const directory = path.join(temporaryFolder(), 'data');
  const fetch: Served['fetch'] = (options = {}) =>
    fetchCifar10({
      ...{
        from: `http://127.0.0.1:${port}/cifar.tar.gz`,
        directory,
        expected: expectedOf(archive),
      },
      ...{ stallSeconds: 30, pauseSeconds: 0, ...options },
    });
  try {
    await work({ ranges, directory, fetch });
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

test('the archive becomes a data set, and nothing else stays', async () => {
  await serving([honest()], async ({ fetch, directory }) => {
    const seen: number[] = [];
    const { folder } = await fetch({ onProgress: (bytes) => seen.push(bytes) });
    assert.deepEqual(readdirSync(directory), [FOLDER]);
    const { classes, train, test } = await openCifar10(folder);
    assert.deepEqual([classes, train.count, test.count], [['a', 'b', 'c', 'd'], 20, 4]);
    assert.deepEqual([seen[0], seen.at(-1)], [0, archive.length]);
  });
});

test('what is there is not fetched again', async () => {
  await serving([honest()], async ({ fetch, ranges }) => {
    await fetch();
    assert.ok((await fetch()).wasThere);
    assert.equal(ranges.length, 1);
  });
});

suite('a server', () => {
  test('that breaks off is asked for the rest', async () => {
    await serving([breaksOff(5000), honest()], async ({ fetch, ranges, directory }) => {
      await fetch();
      assert.equal(ranges[0], undefined);
      assert.match(ranges[1]!, /^bytes=[1-9]\d*-$/);
      assert.deepEqual(readdirSync(directory), [FOLDER]);
    });
  });

  test('that breaks off again and again ends it, and the next command goes on', async () => {
    await serving([breaksOff(5000), (_, response) => response.destroy()], async (served) => {
      const { fetch, directory } = served;
      await assert.rejects(fetch(), userError('the connection broke', 'again', '--from'));
      assert.deepEqual(readdirSync(directory), ['cifar-10-binary.tar.gz.partial']);
      await serving([honest()], async (other) => {
        await other.fetch({ directory });
        assert.match(other.ranges[0]!, /^bytes=[1-9]\d*-$/);
      });
      assert.deepEqual(readdirSync(directory), [FOLDER]);
    });
  });

  test('that ignores the range is taken from the beginning', async () => {
    const whole: Answer = (_, response) => response.end(archive);
    await serving([breaksOff(5000), whole], async ({ fetch }) => {
      const { folder } = await fetch();
      assert.equal((await openCifar10(folder)).train.count, 20);
    });
  });

  test('that sends another range is refused', async () => {
    const wrong: Answer = (_, response) => {
      response.writeHead(206, { 'content-range': `bytes 7-${archive.length}/${archive.length}` });
      response.end(archive.subarray(7));
    };
    await serving([breaksOff(5000), wrong], async ({ fetch }) => {
      await assert.rejects(fetch(), userError('the wrong byte range'));
    });
  });

  test('that stalls is given up after the time limit', async () => {
    const stalls: Answer = (_, response) => {
      response.writeHead(200, { 'content-length': archive.length });
      response.write(archive.subarray(0, 100));
    };
    await serving([stalls], async ({ fetch, directory }) => {
      await assert.rejects(fetch({ stallSeconds: 0.05 }), userError('nothing came for 0.05 s'));
      assert.ok(!existsSync(path.join(directory, FOLDER)));
    });
  });

  test('that says nothing at all is given up after the time limit', async () => {
    await serving([() => {}], async ({ fetch }) => {
      await assert.rejects(fetch({ stallSeconds: 0.05 }), userError('nothing came for 0.05 s'));
    });
  });

  test('that sends another file of the same length is found out, and nothing stays', async () => {
    const other = Buffer.from(archive);
    other[2000]! ^= 1;
    await serving([honest(other)], async ({ fetch, directory }) => {
      await assert.rejects(fetch(), userError('not the file that was expected', 'md5'));
      assert.deepEqual(readdirSync(directory), []);
    });
  });

  test('that sends without an end is stopped, and nothing stays', async () => {
    const endless: Answer = (_, response) => {
      const more = () => response.write(archive, more);
      more();
    };
    await serving([endless], async ({ fetch, directory }) => {
      await assert.rejects(fetch(), userError('more than the'));
      assert.deepEqual(readdirSync(directory), []);
    });
  });

  test('that sends too little and calls it whole is asked for the rest', async () => {
    const short: Answer = (_, response) => {
      // Of a length that it does not name before.
      response.write(archive.subarray(0, 3000));
      response.end();
    };
    await serving([short, honest()], async ({ fetch, ranges }) => {
      await fetch();
      assert.equal(ranges[1], 'bytes=3000-');
    });
  });

  const page = Buffer.from('<html>Please sign in.</html>');

  test('that names another length before is refused, and nothing stays', async () => {
    await serving([honest(page)], async ({ fetch, directory }) => {
      await assert.rejects(fetch(), userError(`${page.length} bytes, not ${archive.length}`));
      assert.deepEqual(readdirSync(directory), []);
    });
  });

  test('that goes on with a file of another length is refused, and what is here stays', async () => {
    await serving([breaksOff(5000), honest(archive.subarray(0, 9000))], async (served) => {
      await assert.rejects(served.fetch(), userError(`9000 bytes, not ${archive.length}`));
      assert.deepEqual(readdirSync(served.directory), ['cifar-10-binary.tar.gz.partial']);
    });
  });

  test('that goes on well after what an earlier command had from elsewhere is asked for all', async () => {
    await serving([honest()], async ({ fetch, ranges, directory }) => {
      mkdirSync(directory);
      writeFileSync(path.join(directory, 'cifar-10-binary.tar.gz.partial'), page);
      await fetch();
      assert.deepEqual(ranges, [`bytes=${page.length}-`, undefined]);
      assert.deepEqual(readdirSync(directory), [FOLDER]);
    });
  });

  test('that breaks off here and there, always from the beginning, is given up', async () => {
    const counts = [9000, 2000, 3000, 4000, 5000];
    await serving([...counts.map(breaksOff), honest()], async ({ fetch, ranges }) => {
      await assert.rejects(fetch(), userError('the connection broke', '--from'));
      assert.equal(ranges.length, counts.length);
    });
  });

  test('that has no such file is named', async () => {
    const missing: Answer = (_, response) => response.writeHead(404).end();
    await serving([missing], async ({ fetch, directory }) => {
      await assert.rejects(fetch(), userError('404', '/cifar.tar.gz', '--from'));
      assert.deepEqual(readdirSync(directory), []);
    });
  });
});

suite('an archive', () => {
  async function unpacked(bytes: Buffer, check: (served: Served) => Promise<void>): Promise<void> {
    await serving([honest(bytes)], (served) =>
      check({ ...served, fetch: () => served.fetch({ expected: expectedOf(bytes) }) }),
    );
  }

  test('with files that do not belong to it leaves them behind', async () => {
    const bytes = await archiveOf((folder) => {
      writeFileSync(path.join(folder, 'evil.sh'), 'x');
      symlinkSync('/etc', path.join(folder, 'readme.html'));
    });
    await unpacked(bytes, async ({ fetch }) => {
      const { folder } = await fetch();
      const names = [...NAMES, 'test_batch.bin', 'batches.meta.txt'];
      assert.deepEqual(readdirSync(folder).sort(), names.sort());
    });
  });

  test('that lacks a file is refused, and nothing is unpacked', async () => {
    const lacking = temporaryFolder();
    const file = path.join(lacking, 'a.tar.gz');
    mkdirSync(path.join(lacking, FOLDER));
    writeFileSync(path.join(lacking, FOLDER, NAMES[0]!), 'x');
    await create({ file, cwd: lacking, gzip: true }, [FOLDER]);
    await unpacked(readFileSync(file), async ({ fetch, directory }) => {
      await assert.rejects(fetch(), userError('lacks data_batch_2.bin', 'fetch it again'));
      assert.deepEqual(readdirSync(directory), ['cifar-10-binary.tar.gz']);
    });
  });

  test('that is none is refused, and nothing is unpacked', async () => {
    await unpacked(Buffer.from('this is no archive, however long it may be'), async (served) => {
      await assert.rejects(served.fetch(), userError('cannot be unpacked'));
      assert.deepEqual(readdirSync(served.directory), ['cifar-10-binary.tar.gz']);
    });
  });
});

test('an archive of other bytes that lies there already is refused by its name', async () => {
  await serving([honest()], async ({ fetch, directory, ranges }) => {
    mkdirSync(directory);
    const file = path.join(directory, 'cifar-10-binary.tar.gz');
    writeFileSync(file, await archiveOf((folder) => rmSync(path.join(folder, NAMES[0]!))));
    await assert.rejects(fetch(), userError(file, 'remove it'));
    assert.deepEqual([ranges, readdirSync(directory)], [[], ['cifar-10-binary.tar.gz']]);
  });
});

test('an address of another scheme is refused', async () => {
  const directory = temporaryFolder();
  const from = 'file:///etc/passwd';
  await assert.rejects(fetchCifar10({ from, directory }), userError('http://', from));
});
