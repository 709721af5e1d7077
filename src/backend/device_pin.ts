/**
 * Loads native/device_pin.cc, which lets each worker thread of one process compute on its own TensorFlow device. Load
 * it before tfjs-node-gpu, in every thread that uses that.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { join } from 'node:path';

/** A device that a TensorFlow context has. */
export interface TensorFlowDevice {
  /** `/job:localhost/replica:0/task:0/device:GPU:0` */
  name: string;
  /** `CPU`, `GPU` … */
  type: string;
}

export interface DevicePin {
  /**
   * Pins the calling thread to a device, from its next context and operation on.
   *
   * @param device `/device:GPU:1`
   * @param config a serialized ConfigProto
   */
  pin(device: string, config: Uint8Array): void;
  /** Sets whether the calling thread's operations wait for those of other threads that take turns. */
  takeTurns(on: boolean): void;
  /** Devices that a context of the calling thread has. It creates a context and deletes it. */
  listDevices(): TensorFlowDevice[];
  /** Full name of the device on which the calling thread's last operation ran; '' before the first. */
  lastDevice(): string;
  /** Full name of the device to which the calling thread last uploaded values; '' before the first. */
  lastUpload(): string;
  /** Ends the process with this exit code, without waiting for its threads as Node does. */
  endProcess(code: number): never;
  /** Makes the process's allocator keep freed memory: see the C++ source. */
  keepFreedMemory(): void;
}

const TFJS_NODE = '@tensorflow/tfjs-node-gpu';

/**
 * A file of the tfjs-node-gpu package; null if the package is not installed. Set-up may install it while the process
 * runs, so it is looked for each time, by files: Node remembers that it did not find a package.
 */
function packageFile(...path: string[]): string | null {
  const folders = createRequire(import.meta.url).resolve.paths(TFJS_NODE) ?? [];
  const folder = folders.find((one) => existsSync(join(one, TFJS_NODE, 'package.json')));
  return folder === undefined ? null : join(folder, TFJS_NODE, ...path);
}

/** Set-up puts the addon there. */
const addonFile = (): string | null => packageFile('lib', 'device_pin.node');

/**
 * Whether set-up has prepared TensorFlow: it puts this addon into place last. The library is in the cache of the user
 * who ran set-up, which may have been deleted or be unreadable.
 */
export function tensorFlowIsPrepared(): boolean {
  const needed = [addonFile(), packageFile('deps', 'lib', 'libtensorflow.so')];
  return needed.every((file) => file !== null && existsSync(file));
}

let loaded: DevicePin | undefined;

/** The addon, loaded into this thread with its symbols before those of libraries loaded later. */
export function loadDevicePin(): DevicePin {
  if (loaded === undefined) {
    const file = addonFile();
    if (file === null) throw new Error(`${TFJS_NODE} is not installed`);
    const module = { exports: {} };
    // Lazy, because it loads the library that defines what it calls.
    process.dlopen(module, file, constants.dlopen.RTLD_LAZY | constants.dlopen.RTLD_GLOBAL);
    loaded = module.exports as DevicePin;
  }
  return loaded;
}
