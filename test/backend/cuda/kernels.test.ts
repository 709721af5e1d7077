/** The tests of the native addon's kernels, on a GPU. Where there is none, a double of NVIDIA's libraries stands in. */
import './use_double.js';

process.env['TWOTOWER_TESTED_GPU'] = '0';
for (const kernels of [
  'convolution',
  'convolution_pool',
  'elementwise',
  'matmul',
  'movement',
  'normalization',
  'pooling',
  'reduction',
]) {
  await import(`../native/addon_${kernels}.test.js`);
}
