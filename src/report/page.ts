/**
 * The frame of all pages: one self-contained HTML file that makes no network requests, is light or dark as the
 * reader's system is, and fits a desktop, a phone or paper.
 *
 * A content security policy enforces this in the browser: only the page's own script, only the requests that it
 * needs, only pictures within the file. Hostile text that slipped past the escaping could still run nothing.
 */
import { createHash } from 'node:crypto';
import { Markup, html } from './markup.js';

/** What a page shows. */
export interface PageContent {
  title: string;
  /** One line below the title. */
  subtitle: string;
  sections: readonly Markup[];
}

/** The part of a page that changes while a run trains. */
export function pageBody({ title, subtitle, sections }: PageContent): Markup {
  return html`<header>
      <h1>${title}</h1>
      <p>${subtitle}</p>
    </header>
    ${sections}`;
}

/** What makes a page more than text and pictures. */
export interface PageScript {
  /** JavaScript that contains no end tag of a script. */
  text: string;
  /** What the content security policy allows it: the end of `script-src`, and further directives. */
  policy: string;
  /** What stands above the part of the page that the script replaces. */
  before?: Markup;
}

/** @param script null: none */
export function pageDocument(title: string, body: Markup, script: PageScript | null): string {
  const page = html`<html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="color-scheme" content="light dark" />
      <meta http-equiv="Content-Security-Policy" content="${contentSecurityPolicy(script)}" />
      <title>${title}</title>
      <link rel="icon" href="data:," />
      <style>
        ${new Markup(STYLE)}
      </style>
    </head>
    <body>
      ${script?.before ?? null}
      <main>${body}</main>
      ${script === null ? null : new Markup(`<script>${script.text}</script>`)}
    </body>
  </html>`;
  return `<!doctype html>\n${page.text}\n`;
}

/** A part of a page with its heading. */
export function section(heading: string, ...contents: Markup[]): Markup {
  return html`<section>
    <h2>${heading}</h2>
    ${contents}
  </section>`;
}

/** A chart or a picture with its title above it. */
export function figure(title: string, chart: Markup): Markup {
  return html`<figure>
    <figcaption>${title}</figcaption>
    ${chart}
  </figure>`;
}

export interface Table {
  caption: string;
  headings: readonly string[];
  /** The first cell of a row is its heading. */
  rows: readonly (readonly (string | Markup)[])[];
  /** Whether the cells after the first are numbers, aligned to the right. */
  numeric?: boolean;
}

/** A table that scrolls sideways if it is wider than the page. */
export function table({ caption, headings, rows, numeric = false }: Table): Markup {
  return html`<div class="wide" tabindex="0" role="group" aria-label="${caption}">
    <table class="${numeric ? 'numeric' : 'textual'}">
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${headings.map((heading) => html`<th scope="col">${heading}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          ([first, ...cells]) =>
            html`<tr>
              <th scope="row">${first ?? ''}</th>
              ${cells.map((cell) => html`<td>${cell}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

/** Colours and their meanings; a colour is one of the page's CSS variables. */
export function legend(entries: readonly { colour: string; label: string }[]): Markup {
  return html`<ul class="legend">
    ${entries.map(
      ({ colour, label }) =>
        html`<li><i style="background: ${colour}"></i><span>${label}</span></li>`,
    )}
  </ul>`;
}

/** Seconds between two requests for updates. */
export const POLLING_SECONDS = 2;

/**
 * Asks for a body newer than the one shown. If no answer comes, for instance while the run is restarted, the
 * page keeps what it shows, says so and asks again.
 */
const POLLING_SCRIPT = `
'use strict';
const connection = document.getElementById('connection');
let version = '';
async function look() {
  try {
    const answer = await fetch('state', { headers: { 'If-None-Match': version }, cache: 'no-store' });
    if (answer.status === 200) {
      const focused = document.activeElement.getAttribute('href');
      document.querySelector('main').innerHTML = await answer.text();
      [...document.links].find((link) => link.getAttribute('href') === focused)?.focus();
      version = answer.headers.get('ETag');
    } else if (answer.status !== 304) throw new Error(answer.statusText);
    connection.textContent = 'live';
    connection.className = '';
  } catch {
    connection.textContent = 'no answer from the run: this is its last state; trying again …';
    connection.className = 'lost';
  }
  setTimeout(look, ${POLLING_SECONDS * 1000});
}
look();
`;

/** The script of pages that follow a run. */
export const POLLING: PageScript = {
  text: POLLING_SCRIPT,
  policy: "; connect-src 'self'",
  before: html`<p id="connection" role="status">live</p>`,
};

/** @param script of the page; null: none */
export function contentSecurityPolicy(script: PageScript | null): string {
  const file = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";
  if (script === null) return file;
  const digest = createHash('sha256').update(script.text).digest('base64');
  return `${file}; script-src 'sha256-${digest}'${script.policy}`;
}

/**
 * The colours of runs differ in lightness as well as in hue. Their contrast with the page is at least 3:1, that
 * of text at least 4.5:1. Paper always gets the light colours.
 */
const STYLE = `
:root {
  color-scheme: light;
  --page: #ffffff; --ink: #1c2128; --faint: #57606a; --line: #d0d7de; --band: #f6f8fa; --alarm: #b3261e;
  --series-0: #0b62a8; --series-1: #c2500c; --series-2: #1f7a4d; --series-3: #8a3fb5;
  --series-4: #b01e5e; --series-5: #786000; --series-6: #00757c; --series-7: #5b6470;
  --part-data: #6e7781; --part-forward: #2f81c7; --part-backward: #0a4a80; --part-copy: #d9730d;
  --part-wait: #b3261e; --part-hosts: #8250df; --part-update: #2c8a57; --part-other: #9aa3ad;
  --heat: #0b62a8; --heat-ink: #ffffff;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    color-scheme: dark;
    --page: #12161c; --ink: #e6eaf0; --faint: #9aa5b1; --line: #343c46; --band: #1a2028; --alarm: #ff8b80;
    --series-0: #6cb6ff; --series-1: #ff9a5c; --series-2: #62d196; --series-3: #d3a0f5;
    --series-4: #ff8ab8; --series-5: #e3c54a; --series-6: #56d4dd; --series-7: #b6c0cc;
    --part-data: #9aa5b1; --part-forward: #7cc0ff; --part-backward: #3f8cd6; --part-copy: #ffab5e;
    --part-wait: #ff7b72; --part-hosts: #c297ff; --part-update: #5fce92; --part-other: #68727e;
    --heat: #6cb6ff; --heat-ink: #0c1117;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif;
}
main { max-width: 1000px; margin: 0 auto; padding: 24px 16px 48px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 40px 0 12px; padding-bottom: 4px; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 20px 0 6px; overflow-wrap: anywhere; }
p { margin: 0 0 12px; overflow-wrap: anywhere; }
header p, .note, figcaption, caption { color: var(--faint); }
.note { font-size: 0.875rem; }
.alarm { color: var(--alarm); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 20px 32px; }
figure { margin: 0; min-width: 0; break-inside: avoid; }
figcaption { font-size: 0.875rem; margin-bottom: 4px; overflow-wrap: anywhere; }
figure svg { width: 100%; max-width: 100%; height: auto; font: 12px system-ui, 'DejaVu Sans', sans-serif; }
figure img { max-width: 100%; image-rendering: pixelated; display: block; border-radius: 3px; }
.pictures figure { margin-bottom: 14px; }
.narrow { max-width: 600px; margin-bottom: 16px; }
.textual tbody th { min-width: 6em; }
.wide { overflow-x: auto; margin: 0 0 16px; }
table { border-collapse: collapse; font-size: 0.875rem; min-width: min(100%, 420px); }
caption { text-align: left; padding-bottom: 4px; }
th, td { padding: 5px 14px 5px 0; text-align: left; vertical-align: top; border-top: 1px solid var(--line); }
th { font-weight: 600; }
tbody th { font-weight: 400; color: var(--faint); }
thead th { border-top: 0; overflow-wrap: anywhere; }
.numeric td, .numeric thead th + th { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.textual td { overflow-wrap: anywhere; min-width: 8em; }
td strong { color: var(--ink); }
td strong.alarm { color: var(--alarm); }
a { color: var(--series-0); }
.runs { width: 100%; }
.runs tbody th { overflow-wrap: anywhere; min-width: 6em; }
.runs td { font-variant-numeric: tabular-nums; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; list-style: none; margin: 0 0 12px; padding: 0; font-size: 0.875rem; }
.legend li { display: flex; align-items: center; gap: 7px; min-width: 0; overflow-wrap: anywhere; }
.legend i { flex: none; width: 14px; height: 14px; border-radius: 3px; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.drop { padding: 20px 16px 8px; text-align: center; border: 2px dashed var(--line); border-radius: 10px; background: var(--band); }
.below { margin-top: 12px; }
.drop.over { border-color: var(--series-0); }
.buttons { display: flex; flex-wrap: wrap; justify-content: center; gap: 10px; }
.button { font: inherit; padding: 8px 16px; border: 1px solid var(--series-0); border-radius: 8px; background: var(--page); color: var(--series-0); cursor: pointer; }
.button:focus-within, .button:focus-visible { outline: 3px solid var(--series-0); outline-offset: 2px; }
.button input { position: absolute; opacity: 0; width: 1px; height: 1px; }
video { width: 100%; max-width: 480px; border-radius: 6px; }
canvas { max-width: 100%; border-radius: 3px; image-rendering: pixelated; }
#seen { width: 227px; }
.beside { display: flex; flex-wrap: wrap; gap: 16px 32px; }
.beside .bars { flex: 1 1 300px; }
.bars > div { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 12px; margin-bottom: 10px; font-size: 0.9375rem; }
.bars span { overflow-wrap: anywhere; min-width: 0; }
.bars data { font-variant-numeric: tabular-nums; }
.bar { display: flex; flex: 1 0 100%; height: 10px; border-radius: 5px; overflow: hidden; background: var(--band); }
figcaption i { display: inline-block; width: 12px; height: 12px; margin-right: 7px; border-radius: 3px; }
#connection { position: sticky; top: 0; z-index: 1; margin: 0; padding: 4px 16px; font-size: 0.8125rem; text-align: center; background: var(--band); color: var(--faint); border-bottom: 1px solid var(--line); }
#connection.lost { color: var(--alarm); }
@media screen and (max-width: 760px) {
  .runs, .runs tbody, .runs tr, .runs tbody th { display: block; min-width: 0; }
  .runs thead { display: none; }
  .runs tr { padding: 10px 0; border-top: 1px solid var(--line); }
  .runs tbody th { border: 0; padding: 0; font-size: 1rem; }
  .runs td { display: inline-block; border: 0; padding: 2px 14px 2px 0; }
  .runs td::before { content: attr(data-heading) ' '; color: var(--faint); }
}
@media print {
  body { font-size: 11pt; }
  main { max-width: none; padding: 0; }
  h2, h3 { break-after: avoid; }
  .wide { overflow: visible; break-inside: avoid; }
  .figures { grid-template-columns: 1fr 1fr; gap: 12px 20px; }
  #connection { display: none; }
}
`;
