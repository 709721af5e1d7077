/** The tests of faults, with workers on GPUs that repeat their steps as CUDA graphs as soon as they may. */
import './use_double.js';

process.env['TWOTOWER_TESTED_DEVICES'] = '--gpus 0,1';
process.env['TWOTOWER_CUDA_GRAPHS'] = 'always';
await import('../../faults/faults.test.js');
