/** The tests of the native backend's kernels as tfjs calls them, on a GPU. */
import './use_double.js';

process.env['TWOTOWER_TESTED_GPU'] = '0';
for (const kernels of ['convolution', 'pooling', 'training']) {
  await import(`../native/${kernels}.test.js`);
}
