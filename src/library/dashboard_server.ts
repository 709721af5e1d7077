/**
 * The dashboard's HTTP server, on 127.0.0.1: serves the report's page of one run, and its body alone to a
 * page that polls.
 *
 *     GET /        the page
 *     GET /state   its body; 304 if If-None-Match has the version shown
 *
 * Nothing in a request names a file. A request with another Host is refused, because a page from elsewhere
 * could have its name resolved to 127.0.0.1 (DNS rebinding) and would read the run. The Host's port may
 * differ, as a tunnel's does. The body is rebuilt only when it is asked for, and so seldom that it takes at
 * most a twentieth of one core.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../errors.js';
import { html } from '../report/markup.js';
import type { Markup } from '../report/markup.js';
import { contentSecurityPolicy, pageBody, pageDocument, POLLING_SECONDS } from '../report/page.js';
import { runReport } from '../report/run_report.js';
import { RunReader } from './report.js';

export interface DashboardSettings {
  port: number;
}

/** A message to the thread. */
export type DashboardRequest = { show: string } | 'close';

/** The thread's one message: where it listens, or why it does not. */
export type DashboardNews = { port: number } | { refused: string };

/** The least time between two bodies: in seconds, and as a multiple of the time that one took. */
const LEAST_SECONDS = 1;
const LEAST_MULTIPLE = 20;

/** Names of this machine, with any port or none. */
const OWN_HOST = /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/;

interface State {
  body: Markup;
  title: string;
  /** As an ETag: changes with the body. */
  version: string;
}

/** The body before the towers are open. */
const WAITING = pageBody({
  title: 'twotower',
  subtitle: 'the run is being prepared',
  sections: [html`<p class="note">What it does is shown here as soon as it begins.</p>`],
});

export class DashboardServer {
  private readonly server: Server;
  private run: string | undefined;
  /** Of `run`, from its first body on. */
  private reader: RunReader | undefined;
  private state = stateOf('twotower', WAITING);
  /** Why the last body could not be built; this is the answer until another one is due. */
  private failure: string | undefined;
  private making: Promise<void> | undefined;
  private notBefore = 0;
  private askedAt = -Infinity;

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

  /** @param path the run folder to show from now on */
  show(path: string): void {
    this.run = path;
    this.reader = undefined;
    this.notBefore = 0;
  }

  /** Resolves when open pages have had the time to ask for the run's end. */
  async close(): Promise<void> {
    const untilAsked = 1500 * POLLING_SECONDS;
    if (performance.now() - this.askedAt < untilAsked) {
      this.notBefore = 0;
      await delay(untilAsked);
    }
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!OWN_HOST.test(request.headers.host ?? '')) {
      const { port } = this.server.address() as AddressInfo;
      return send(response, 403, 'text/plain', `open http://127.0.0.1:${port}/`);
    }
    if (request.method !== 'GET') return send(response, 405, 'text/plain', 'GET alone');
    if (request.url !== '/' && request.url !== '/state') {
      return send(response, 404, 'text/plain', 'no such page');
    }
    this.askedAt = performance.now();
    await this.refresh();
    if (this.failure !== undefined) return send(response, 503, 'text/plain', this.failure);
    const { body, title, version } = this.state;
    response.setHeader('ETag', version);
    if (request.url === '/')
      return send(response, 200, 'text/html', pageDocument(title, body, true));
    if (request.headers['if-none-match'] === version) return send(response, 304, 'text/html', '');
    send(response, 200, 'text/html', body.text);
  }

  /** Rebuilds the body if that is due; requests that come meanwhile wait for the same one. */
  private async refresh(): Promise<void> {
    if (this.run === undefined || performance.now() < this.notBefore) return;
    this.making ??= this.make(this.run).finally(() => (this.making = undefined));
    await this.making;
  }

  private async make(run: string): Promise<void> {
    const begin = performance.now();
    try {
      this.reader ??= new RunReader(run);
      const content = await runReport([this.reader.read()]);
      this.state = stateOf(content.title, pageBody(content));
      this.failure = undefined;
    } catch (error) {
      // Such as a malformed line of the metrics.
      this.failure = messageOf(error);
    }
    const end = performance.now();
    this.notBefore = end + Math.max(LEAST_SECONDS * 1000, LEAST_MULTIPLE * (end - begin));
  }
}

function stateOf(title: string, body: Markup): State {
  const digest = createHash('sha256').update(body.text).digest('base64url');
  return { body, title, version: `"${digest}"` };
}

function send(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, {
    'Content-Type': `${type}; charset=utf-8`,
    'Cache-Control': 'no-store',
    'Content-Security-Policy': `${contentSecurityPolicy(true)}; frame-ancestors 'none'`,
    'Cross-Origin-Resource-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(status === 304 ? undefined : text);
}
