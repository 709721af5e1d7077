import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Dataset } from '../../src/data/examples.js';
import { dataWarnings } from '../../src/library/preparation.js';

const WARNING = 'no libjpeg-turbo';
const SLOW = { jpegWarnings: [WARNING] };

const datasetOf = (kind: string): Dataset =>
  ({ classes: [], train: { kind }, test: { kind } }) as unknown as Dataset;

test('a slow JPEG decoder is announced for image files', () => {
  assert.deepEqual(dataWarnings(datasetOf('folder'), SLOW), [WARNING]);
});

test('other data is not warned of', () => {
  assert.deepEqual(dataWarnings(datasetOf('cifar10'), SLOW), []);
});

test('a fast JPEG decoder gives no warning', () => {
  assert.deepEqual(dataWarnings(datasetOf('folder'), { jpegWarnings: [] }), []);
});
