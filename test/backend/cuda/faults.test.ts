/** The tests of faults, with workers on GPUs. */
import './use_double.js';

process.env['TWOTOWER_TESTED_DEVICES'] = '--gpus 0,1';
await import('../../faults/faults.test.js');
