/**
 *     npm run bench:data -- --peer-python PYTHON
 *
 * How many images a second a core decodes and augments: 256×256 JPEGs, generated, from an image folder to
 * batches of random 224×224 windows, mirrored at random; beside PyTorch's DataLoader with torchvision on the
 * same files and cores. Passes take turns, so that both meet the same load of the machine; the first of each
 * is not counted. A DataLoader's worker makes whole batches, our decoders share each: a pass has as many
 * batches for every worker, and enough of them that filling and emptying the pipeline hardly counts.
 */
import { spawn } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { BatchRing, batchesPerEpoch } from '../src/data/batches.js';
import { openFolder } from '../src/data/folder.js';
import { libjpegTurboVersion } from '../src/data/jpeg_decoder.js';
import { RandomSequence, deriveKey } from '../src/random.js';
import { usableCores } from '../src/usable_cores.js';

/** Distinct images; the others of a pass are links to them. */
const IMAGES = 1024;
const BATCH = 128;
const BATCHES_PER_THREAD = 16;
const SIDE = 256;
const INPUT = 224;

/** Runs a pass over all images and says how long it took, seconds. */
type Pass = () => Promise<number>;

/** Colours that change smoothly with some grain, as in photographs: about 25 kB each at quality 95. */
async function writeImages(folder: string, count: number): Promise<void> {
  const fileOf = (index: number): string =>
    join(folder, 'train', index % 2 ? 'a' : 'b', `${index}.jpg`);
  const random = new RandomSequence(deriveKey(1, 'bench data'));
  for (let index = 0; index < IMAGES; index++) {
    const coarse = Uint8Array.from({ length: 16 * 16 * 3 }, () => random.below(256));
    const smooth = await sharp(coarse, { raw: { width: 16, height: 16, channels: 3 } })
      .resize(SIDE, SIDE, { kernel: 'cubic' })
      .raw()
      .toBuffer();
    for (let at = 0; at < smooth.length; at += 4) {
      const word = random.word();
      for (let byte = 0; byte < 4; byte++) {
        const grain = ((word >>> (8 * byte)) & 31) - 16;
        smooth[at + byte] = Math.min(255, Math.max(0, smooth[at + byte]! + grain));
      }
    }
    await sharp(smooth, { raw: { width: SIDE, height: SIDE, channels: 3 } })
      .jpeg({ quality: 95 })
      .toFile(fileOf(index));
  }
  for (let index = IMAGES; index < count; index++) {
    linkSync(fileOf(index % IMAGES), fileOf(index));
  }
  // A data set must have one; no pass reads it.
  linkSync(fileOf(0), join(folder, 'test', 'b', '0.jpg'));
}

async function openOurs(folder: string, threads: number): Promise<{ pass: Pass; close: Pass }> {
  const dataset = await openFolder(folder);
  const batches = batchesPerEpoch(dataset.train.count, BATCH);
  const ring = new BatchRing({
    dataset,
    data: { view: { type: 'crop', from: SIDE }, flip: true },
    ...{ height: INPUT, width: INPUT, batch: BATCH, seed: 0, decoders: threads, slots: 3 },
  });
  let epoch = 0;
  const pass = async () => {
    const start = performance.now();
    for (let batch = 0; batch < batches; batch++) {
      (await ring.batchAt({ epoch, batch })).release();
    }
    epoch++;
    return (performance.now() - start) / 1000;
  };
  return { pass, close: () => ring.close().then(() => 0) };
}

async function openPeer(python: string, folder: string, threads: number) {
  const script = fileURLToPath(new URL('../../scripts/peer_data.py', import.meta.url));
  const options = [script, join(folder, 'train'), String(threads), String(BATCH), String(INPUT)];
  const child = spawn(python, options, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const read = async (): Promise<Record<string, string | number>> => {
    const line = await lines.next();
    if (line.done === true) throw new Error(`${python} ended early`);
    return JSON.parse(line.value) as Record<string, string | number>;
  };
  const versions = await read();
  const pass: Pass = async () => {
    child.stdin.write('\n');
    return Number((await read())['seconds']);
  };
  return { versions, pass, close: () => child.stdin.end() };
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

const given = await yargs(hideBin(process.argv))
  .scriptName('npm run bench:data --')
  .options({
    'peer-python': {
      type: 'string',
      describe: 'Python with torch and torchvision, to compare with',
    },
    threads: { type: 'number', default: usableCores(), describe: 'Decoders of each' },
    passes: { type: 'number', default: 7, describe: 'Over all images, of each' },
  })
  .strict()
  .parseAsync();
const { threads, passes } = given;
const images = BATCH * BATCHES_PER_THREAD * threads;
const folder = mkdtempSync(join(tmpdir(), 'twotower-bench-'));
try {
  for (const name of ['train/a', 'train/b', 'test/b']) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  await writeImages(folder, images);
  const ours = await openOurs(folder, threads);
  const peer =
    given.peerPython === undefined ? null : await openPeer(given.peerPython, folder, threads);
  const seconds = { ours: [] as number[], peer: [] as number[] };
  for (let turn = 0; turn <= passes; turn++) {
    const [our, their] = [await ours.pass(), (await peer?.pass()) ?? NaN];
    if (turn === 0) continue;
    seconds.ours.push(our);
    seconds.peer.push(their);
  }
  const speed = (of: number[]) => images / median(of) / threads;
  console.log(`${threads} decoders, medians of ${passes} passes over ${images} images`);
  const version = libjpegTurboVersion();
  const decoder = version === null ? 'sharp' : `libjpeg-turbo ${version}`;
  console.log(`twotower, ${decoder}: ${speed(seconds.ours).toFixed(0)} images/s a core`);
  if (peer !== null) {
    const { torch, torchvision } = peer.versions;
    console.log(`torch ${torch}, torchvision ${torchvision}: ${speed(seconds.peer).toFixed(0)}`);
    const ratios = seconds.ours.map((our, turn) => seconds.peer[turn]! / our);
    console.log(`ratio ${median(ratios).toFixed(2)}, turn by turn`);
    peer.close();
  }
  await ours.close();
} finally {
  rmSync(folder, { recursive: true });
}
