/**
 * The dashboard: the report's page of a run that is under way, served on the loopback interface.
 *
 * A thread of its own (`workers/dashboard.ts`) reads the run folder. Training only tells it the folder, and where the
 * ranks are.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { UserError } from '../errors.js';
import type { RunEvents } from '../runs/events.js';
import { placementSummary } from './host_placements.js';
import type { DashboardNews, DashboardRequest, DashboardSettings } from './dashboard_server.js';

/** A page that is being served. */
export interface Dashboard {
  /** Address of the page. */
  url: string;
  /** Stops serving it; if a page is open, some seconds later, so that it can show how the run ended. */
  close(): Promise<void>;
}

/**
 * Serves the run that `events` announce.
 *
 * @param port of 127.0.0.1; 0 takes any free one
 * @throws UserError if the port is taken or not allowed
 */
export async function openDashboard(port: number, events: RunEvents): Promise<Dashboard> {
  const workerData: DashboardSettings = { port };
  const worker = new Worker(new URL('../../workers/dashboard.js', import.meta.url), { workerData });
  const [news] = (await once(worker, 'message')) as [DashboardNews];
  if ('refused' in news) {
    await worker.terminate();
    throw new UserError(news.refused);
  }
  // A failing page must not end a run, nor keep the process once the run has ended.
  worker.on('error', ({ message }) =>
    events.emit('warning', `the dashboard has ended: ${message}`),
  );
  worker.unref();
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  const tell = (request: DashboardRequest): void => worker.postMessage(request);
  events.on('start', ({ path, placement, hosts, backend, jpegDecoder }) =>
    tell({ show: path, placed: { ...placementSummary(placement, hosts), backend, jpegDecoder } }),
  );
  return {
    url: `http://127.0.0.1:${news.port}/`,
    close: async () => {
      // While it closes, nothing else may keep the process.
      worker.ref();
      tell('close');
      await ended;
    },
  };
}
