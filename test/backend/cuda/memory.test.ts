/** What training leaves on a GPU, counted by the double of NVIDIA's libraries. */
import './use_double.js';
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { cudaIsPrepared } from '../../../src/backend/native/cuda_addon.js';
import { newFolder, start, TINY, writeTinyImages } from '../../commands/command_line.js';

const skip = cudaIsPrepared() ? false : "the GPUs' addon is not built here";
const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));

interface Count {
  created: number;
  destroyed: number;
}

/** TWOTOWER_DOUBLE_REPORT's. */
interface Report {
  devices: {
    bytes: { live: number; peak: number };
    allocations: Count;
    streams: Count;
    events: Count;
    modules: Count;
    contextUsers: number;
  }[];
  nvrtc: Count;
  cublasLt: Count;
  cudnn: Count;
  hostMemory: Count;
}

/** Trains so many epochs of 16 steps on two GPUs. */
async function reportOf(data: string, epochs: number): Promise<Report> {
  const file = join(folder, `${epochs}.json`);
  const out = join(folder, `${epochs}`);
  const words = ['train', '--config', TINY, '--data', data, '--gpus', '0,1', '--out', out];
  const environment = { TWOTOWER_DOUBLE_REPORT: file };
  const { code, stderr } = await start([...words, '--epochs', `${epochs}`], { environment })
    .outcome;
  assert.equal(code, 0, stderr);
  return JSON.parse(readFileSync(file, 'utf8')) as Report;
}

test(
  'more steps take no more memory, events or streams, and all are given back',
  { skip },
  async () => {
    const data = writeTinyImages(join(folder, 'data'));
    const short = await reportOf(data, 2);
    assert.deepEqual(await reportOf(data, 10), short);
    const { devices, nvrtc, cublasLt, cudnn, hostMemory } = short;
    const counts = [nvrtc, cublasLt, cudnn, hostMemory];
    for (const { bytes, contextUsers, allocations, streams, events, modules } of devices) {
      assert.equal(bytes.live, 0);
      assert.equal(contextUsers, 0);
      counts.push(allocations, streams, events, modules);
    }
    for (const { created, destroyed } of counts) {
      assert.ok(created > 0);
      assert.equal(created, destroyed);
    }
  },
);
