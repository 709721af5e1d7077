/** What hosts must have in common: of decoders, the version of nvJPEG if there are JPEGs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JpegDecoder } from '../../src/data/choose_jpeg_decoder.js';
import type { Dataset } from '../../src/data/examples.js';
import { openFolder } from '../../src/data/folder.js';
import type { ResolvedPlacement } from '../../src/library/devices.js';
import { factsOf } from '../../src/library/hosts.js';
import { configurationOf } from '../../src/library/recipe.js';
import { writeImageFolder } from '../data/image_folders.js';
import { recordsDataset } from '../data/records.js';
import { temporaryFolder } from '../data/temporary.js';

const folder = temporaryFolder();
await writeImageFolder(folder, 1, 1);
const IMAGES = await openFolder(folder);
const RECORDS = recordsDataset(1, 1);

const nvjpeg = (version: string): JpegDecoder => ({ name: 'nvJPEG', version, gpus: [0] });
const onCpu = (version: string): JpegDecoder => ({ name: 'libjpeg-turbo', version });

function factsWith(dataset: Dataset, jpegDecoder: JpegDecoder): unknown {
  const placement = { placement: [], backend: 'native', precision: 'float32', jpegDecoder };
  const resolved = placement as unknown as ResolvedPlacement;
  return factsOf(configurationOf({ preset: 'demo' }), dataset, resolved, 'replicas');
}

test('hosts with JPEGs must have the same version of nvJPEG', () => {
  const facts = factsWith(IMAGES, nvjpeg('13.0'));
  assert.deepEqual(factsWith(IMAGES, nvjpeg('13.0')), facts);
  assert.notDeepEqual(factsWith(IMAGES, nvjpeg('13.2')), facts);
  assert.notDeepEqual(factsWith(IMAGES, onCpu('2.1.5')), facts);
});

test('the decoders of CPUs may differ, for they give the same pixels', () => {
  assert.deepEqual(factsWith(IMAGES, onCpu('2.1.5')), factsWith(IMAGES, onCpu('3.1.0')));
});

test('without JPEGs nvJPEG does not matter', () => {
  assert.deepEqual(factsWith(RECORDS, nvjpeg('13.0')), factsWith(RECORDS, onCpu('2.1.5')));
});
