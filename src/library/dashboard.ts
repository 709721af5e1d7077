/**
 * A page on which a run is watched as it goes: the report's, served on the loopback interface by a thread
 * of its own (`workers/dashboard.ts`), which reads the run folder. Training does nothing for it but name
 * the folder. Called by `train --dashboard`, and by programs that train.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { UserError } from '../errors.js';
import type { RunEvents } from '../runs/events.js';
import type { DashboardNews, DashboardRequest, DashboardSettings } from './dashboard_server.js';

/** A page that is being served. */
export interface Dashboard {
  /** Of the page. */
  url: string;
  /** Stops serving it; where a page is open, a few seconds after that could see how the run ended. */
  close(): Promise<void>;
}

/**
 * Serves the run that `events` tell of.
 *
 * @param port of 127.0.0.1; 0 takes any that is free
 * @throws UserError where the port is taken or not allowed
 */
export async function openDashboard(port: number, events: RunEvents): Promise<Dashboard> {
  const workerData: DashboardSettings = { port };
  const worker = new Worker(new URL('../../workers/dashboard.js', import.meta.url), { workerData });
  const [news] = (await once(worker, 'message')) as [DashboardNews];
  if ('refused' in news) {
    await worker.terminate();
    throw new UserError(news.refused);
  }
  // A page is no reason to end a run, nor to keep the process once the run has ended.
  worker.on('error', ({ message }) =>
    events.emit('warning', `the dashboard has ended: ${message}`),
  );
  worker.unref();
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  const tell = (request: DashboardRequest): void => worker.postMessage(request);
  events.on('start', ({ path }) => tell({ show: path }));
  return {
    url: `http://127.0.0.1:${news.port}/`,
    close: async () => {
      // Nothing else may keep the process meanwhile.
      worker.ref();
      tell('close');
      await ended;
    },
  };
}
