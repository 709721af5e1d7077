/**
 * The dashboard's thread. Its worker data are `DashboardSettings`. It first says where it listens, or why it
 * cannot; then it takes run folders to show, until it is told to close.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../src/errors.js';
import { DashboardServer } from '../src/library/dashboard_server.js';
import type {
  DashboardNews,
  DashboardRequest,
  DashboardSettings,
} from '../src/library/dashboard_server.js';

const { port } = workerData as DashboardSettings;
const server = new DashboardServer();

async function listen(): Promise<DashboardNews> {
  try {
    return { port: await server.listen(port) };
  } catch (error) {
    const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
    const reason = isTaken ? 'is taken' : `cannot be opened (${messageOf(error)})`;
    return { refused: `port ${port} of 127.0.0.1 ${reason}: name another with --dashboard PORT` };
  }
}

parentPort!.postMessage(await listen());
parentPort!.on('message', (request: DashboardRequest) => {
  if (request === 'close') void server.close().finally(() => parentPort!.close());
  else server.show(request.show, request.placed);
});
