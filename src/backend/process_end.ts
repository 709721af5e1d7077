/**
 * Ends the process although a thread does not end. Node's own exit waits for every thread, and a thread that hangs in
 * native code (a driver, a file system) cannot be interrupted.
 *
 * The coordinator reports such a thread, and the command line ends the process. A program that uses the package as a
 * library decides for itself.
 */
import { loadDevicePin, tensorFlowIsPrepared } from './device_pin.js';
import { loadNativeAddon, nativeIsPrepared } from './native/addon.js';

let threadLasts = false;

/** Reports that a thread could not be ended. */
export function noteLastingThread(): void {
  threadLasts = true;
}

/** Whether the process can end only by `endProcess`. */
export function aThreadLasts(): boolean {
  return threadLasts;
}

/**
 * Ends the process at once, whatever its threads do. Without an addon it uses Node's own exit, or SIGKILL if a thread is
 * known to last; then the exit code is lost.
 */
export function endProcess(code: number): never {
  if (nativeIsPrepared()) loadNativeAddon().endProcess(code);
  if (tensorFlowIsPrepared()) loadDevicePin().endProcess(code);
  if (threadLasts) process.kill(process.pid, 'SIGKILL');
  process.exit(code);
}
