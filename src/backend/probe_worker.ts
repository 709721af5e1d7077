/** The worker thread of `probe`: it loads the backend named in workerData, posts a `Probe`, and ends. */
import { parentPort, workerData } from 'node:worker_threads';
import { useBackend, type BackendName, type Probe } from './backend.js';
import { loadDevicePin } from './device_pin.js';

const { backend } = workerData as { backend: BackendName };
const information = await useBackend({ backend, device: 'cpu', threads: 1 });
const gpus = (backend === 'tensorflow' ? loadDevicePin().listDevices() : [])
  .filter(({ type }) => type === 'GPU')
  .map(({ name }) => ({ ordinal: Number(name.slice(name.lastIndexOf(':') + 1)), name }));
parentPort!.postMessage({ information, gpus } satisfies Probe);
