/**
 * The dashboard's HTTP server, on 127.0.0.1: serves a page with all runs of a folder, the report's page of each,
 * and the body alone to a page that polls.
 *
 *     GET /                 all runs in the folder of the run under way
 *     GET /runs/NAME/       the report of one of them
 *     GET …/state           the body of either; 304 if If-None-Match has the version shown
 *
 * A name in a request is only compared with the names of the runs that are listed; it never becomes a path. A
 * request with another Host is refused, because a page from elsewhere could have its name resolved to 127.0.0.1
 * (DNS rebinding) and would read the runs. The Host's port may differ, as a tunnel's does. A body is rebuilt only
 * when it is asked for, and so seldom that all of them take at most a twentieth of one core.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join, relative, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf, UserError } from '../errors.js';
import { html } from '../report/markup.js';
import { contentSecurityPolicy, pageBody, pageDocument, POLLING } from '../report/page.js';
import { runReport } from '../report/run_report.js';
import type { ReportedPlacement } from '../report/placement_section.js';
import { runsPage } from '../report/runs_page.js';
import type { RunRow } from '../report/runs_page.js';
import { LivePage, OPEN_MS } from './live_page.js';
import type { LiveState } from './live_page.js';
import { RunReader } from './report.js';
import { listRuns, runFoldersIn } from './runs.js';
import type { ListedRun } from './runs.js';

export interface DashboardSettings {
  port: number;
}

/** A message to the thread. */
export type DashboardRequest = { show: string; placed: ReportedPlacement } | 'close';

/** The thread's one message: where it listens, or why it does not. */
export type DashboardNews = { port: number } | { refused: string };

/** Names of this machine, with any port or none. */
const OWN_HOST = /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/;

/** A page's address, with the encoded name of a run, and whether its body alone is asked for. */
const ADDRESS = /^\/(?:runs\/([^/]+)\/)?(state)?$/;

/** What is shown before the towers are open. */
const WAITING: LiveState = {
  title: 'twotower',
  body: pageBody({
    title: 'twotower',
    subtitle: 'the run is being prepared',
    sections: [html`<p class="note">It appears here as soon as it begins.</p>`],
  }),
};

export class DashboardServer {
  private readonly server: Server;
  /** The folder whose runs are shown. */
  private folder: string | undefined;
  /** The run under way, in this folder, and where its ranks are. */
  private current = '';
  private placed: ReportedPlacement | undefined;
  private readonly overview = new LivePage(() => this.allRuns());
  /** Reads what `overview` shows of the run under way, from its first body on. */
  private reader: RunReader | undefined;
  /** The pages of runs that have been asked for, by the run's folder. */
  private readonly pages = new Map<string, LivePage>();

  constructor() {
    this.server = createServer((request, response) => {
      this.answer(request, response).catch((error: unknown) => {
        send(response, 503, 'text/plain', messageOf(error));
      });
    });
  }

  /** @returns the port */
  async listen(port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject).listen(port, '127.0.0.1', resolve);
    });
    return (this.server.address() as AddressInfo).port;
  }

  /**
   * @param path the folder of the run that is under way from now on
   * @param placed where its ranks are
   */
  show(path: string, placed: ReportedPlacement): void {
    this.placed = placed;
    this.folder = join(path, '..');
    this.current = join(this.folder, basename(resolve(path)));
    this.reader = undefined;
    this.pages.delete(this.current);
    this.overview.expire();
  }

  /** Resolves when open pages have had the time to ask for the run's end. */
  async close(): Promise<void> {
    const open = this.openPages();
    if (open.length > 0) {
      open.forEach((page) => page.expire());
      await delay(OPEN_MS);
    }
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!OWN_HOST.test(request.headers.host ?? '')) {
      const { port } = this.server.address() as AddressInfo;
      return send(response, 403, 'text/plain', `open http://127.0.0.1:${port}/`);
    }
    if (request.method !== 'GET') return send(response, 405, 'text/plain', 'only GET is allowed');
    const [address, name, bodyAlone] = ADDRESS.exec(request.url ?? '') ?? [];
    const page = name === undefined ? this.overview : this.pageOf(name);
    if (address === undefined || page === undefined) {
      return send(response, 404, 'text/plain', 'no such page');
    }
    await page.refresh(Math.max(1, this.openPages().length));
    if (page.failure !== null) return send(response, 503, 'text/plain', page.failure);
    const { title, body } = page.state!;
    response.setHeader('ETag', page.version);
    if (bodyAlone === undefined) {
      return send(response, 200, 'text/html', pageDocument(title, body, POLLING));
    }
    const isShown = request.headers['if-none-match'] === page.version;
    send(response, isShown ? 304 : 200, 'text/html', body.text);
  }

  private openPages(): LivePage[] {
    return [this.overview, ...this.pages.values()].filter(({ isOpen }) => isOpen);
  }

  /** The page of a run; undefined if the folder has no run of this name. */
  private pageOf(encodedName: string): LivePage | undefined {
    if (this.folder === undefined) return undefined;
    const runs = runFoldersIn(this.folder);
    const run = runs.find(({ path }) => encodeURIComponent(this.nameOf(path)) === encodedName);
    if (run === undefined) return undefined;
    const { path } = run;
    const page =
      this.pages.get(path) ??
      new LivePage(reporting(path, path === this.current ? this.placed : undefined));
    this.pages.set(path, page);
    return page;
  }

  /** A run's path from the folder that is shown, such as `demo`, or `demo/seed-1` for one of several seeds. */
  private nameOf(path: string): string {
    return relative(this.folder!, path);
  }

  private allRuns(): LiveState {
    if (this.folder === undefined) return WAITING;
    const rows = listRuns(this.folder).map((run) => this.rowOf(run));
    const content = runsPage(join(this.folder, '/'), rows);
    return { title: content.title, body: pageBody(content) };
  }

  /** A checkpoint tells of a run as it was minutes ago; of the one under way the metrics tell more. */
  private rowOf({ path, ...run }: ListedRun): RunRow {
    const name = this.nameOf(path);
    const row = { ...run, name, address: `runs/${encodeURIComponent(name)}/` };
    if (path !== this.current || run.status !== 'training') return row;
    try {
      this.reader ??= new RunReader(path);
      const { last, tests } = this.reader.readHistory();
      if (last === undefined) return row;
      return {
        ...row,
        step: last.step,
        epoch: last.epoch,
        last: tests.at(-1)?.top1 ?? null,
        best: tests.length === 0 ? null : Math.max(...tests.map(({ top1 }) => top1)),
        imagesPerSecond: last.event === 'train' ? last.imagesPerSecond : null,
      };
    } catch (error) {
      if (error instanceof UserError) return { ...row, error: error.message };
      throw error;
    }
  }
}

/** Makes the page of a run; it reads each time only what is new of the metrics. */
function reporting(path: string, placed: ReportedPlacement | undefined): () => Promise<LiveState> {
  let reader: RunReader | undefined;
  return async () => {
    reader ??= new RunReader(path);
    const content = await runReport([{ ...reader.read(), placed }]);
    const body = html`<nav><a href="../../">all runs</a></nav>
      ${pageBody(content)}`;
    return { title: content.title, body };
  };
}

function send(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, {
    'Content-Type': `${type}; charset=utf-8`,
    'Cache-Control': 'no-store',
    'Content-Security-Policy': `${contentSecurityPolicy(POLLING)}; frame-ancestors 'none'`,
    'Cross-Origin-Resource-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(status === 304 ? undefined : text);
}
