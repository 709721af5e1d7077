/**
 * Ending the process although a thread does not end. Node's own exit waits for every thread, and one that
 * hangs in native code (a driver, a file system) cannot be made to return from there.
 *
 * The coordinator notes such a thread; the command line ends the process. A program that uses the package
 * as a library decides for itself.
 */
import { loadDevicePin, tensorFlowIsPrepared } from './device_pin.js';
import { loadNativeAddon, nativeIsPrepared } from './native/addon.js';

let threadLasts = false;

/** Says that a thread could not be ended. */
export function noteLastingThread(): void {
  threadLasts = true;
}

/** Whether the process can end only by `endProcess`. */
export function aThreadLasts(): boolean {
  return threadLasts;
}

/**
 * Ends the process at once, whatever its threads do. Where no addon is, and with it hardly any native code
 * to hang in, by Node's own exit, or if a thread is known to last by SIGKILL, so without the code.
 */
export function endProcess(code: number): never {
  if (nativeIsPrepared()) loadNativeAddon().endProcess(code);
  if (tensorFlowIsPrepared()) loadDevicePin().endProcess(code);
  if (threadLasts) process.kill(process.pid, 'SIGKILL');
  process.exit(code);
}
