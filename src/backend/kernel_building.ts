/**
 * Guards the building of kernels, called by the tower around its first step at each batch size: the
 * threads of a process run their operations by turns there, since TensorFlow's oneDNN kernels are not
 * safe to build at once (`takeTurns` in native/device_pin.cc says what was seen).
 */
import * as tf from '@tensorflow/tfjs';
import { loadDevicePin } from './device_pin.js';

/** Runs `compute`, whose operations may meet shapes for the first time. */
export function buildingKernels<Result>(compute: () => Result): Result {
  if (tf.getBackend() !== 'tensorflow') return compute();
  const devicePin = loadDevicePin();
  devicePin.takeTurns(true);
  try {
    return compute();
  } finally {
    devicePin.takeTurns(false);
  }
}
