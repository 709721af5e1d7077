/**
 * The pages as a browser shows them: a headless Chromium, launched once. Where there is none the tests are
 * skipped; `.ci/run` installs Debian's.
 */
import assert from 'node:assert/strict';
import { existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { after, before, suite, test } from 'node:test';
import { launch } from 'puppeteer-core';
import type { Browser, Page } from 'puppeteer-core';
import { DashboardServer } from '../../src/library/dashboard_server.js';
import { writeComparison, writeReport } from '../../src/library/report.js';
import { newFolder } from '../commands/command_line.js';
import { COMPARISON, HOSTILE, writeRun } from './sample_runs.js';

const CHROMIUM = '/usr/bin/chromium';
const skip = existsSync(CHROMIUM) ? false : `${CHROMIUM} is not there: apt-get install chromium`;

const folder = newFolder();
const file = (name: string): string => join(folder, name);
let browser: Browser;

const NOWHERE = { placement: [], backend: '' };

/** What a page said and asked for; a page that is well says nothing. */
interface Watched {
  page: Page;
  messages: string[];
  requests: string[];
}

/** In the light scheme, as wide as a desk, unless told otherwise. */
async function open(
  url: string,
  { width = 1100, scheme = 'light' }: { width?: number; scheme?: 'light' | 'dark' } = {},
): Promise<Watched> {
  const page = await browser.newPage();
  const [messages, requests]: string[][] = [[], []];
  page.on('console', (message) => messages!.push(message.text()));
  page.on('pageerror', (error) => messages!.push(String(error)));
  page.on('dialog', (dialog) => messages!.push(dialog.message()));
  page.on('request', (request) => requests!.push(request.url()));
  await page.setViewport({ width, height: 800 });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  await page.goto(url);
  return { page, messages: messages!, requests: requests! };
}

const openFile = (name: string, options?: Parameters<typeof open>[1]) =>
  open(pathToFileURL(file(name)).href, options);

/** Evaluated in the page, as text: this program is compiled without the browser's types. */
async function ask<Answer>(page: Page, expression: string): Promise<Answer> {
  return (await page.evaluate(expression)) as Answer;
}

/** Of WCAG 2: of two colours as `rgb(r, g, b)`. */
function contrast(one: string, other: string): number {
  const [darker, lighter] = [one, other]
    .map((colour) => {
      const [red, green, blue] = colour.match(/\d+/g)!.map((channel) => {
        const value = Number(channel) / 255;
        return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
      }) as [number, number, number];
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    })
    .sort((first, second) => first - second) as [number, number];
  return (lighter + 0.05) / (darker + 0.05);
}

const COLOURS = `(() => {
  const style = getComputedStyle(document.body);
  const probe = document.createElement('i');
  document.body.append(probe);
  const names = ['--faint', '--alarm', '--series-0', '--series-1', '--part-forward', '--part-wait'];
  const variables = names.map((name) => {
    probe.style.color = 'var(' + name + ')';
    return getComputedStyle(probe).color;
  });
  probe.remove();
  return { page: style.backgroundColor, ink: style.color, variables };
})()`;

interface Colours {
  page: string;
  ink: string;
  /** Two of text, then those of marks. */
  variables: string[];
}

suite('reports in Chromium', { skip }, () => {
  before(async () => {
    const runs = [writeRun(file('one'), 3000), writeRun(file('two'), 50)];
    await writeReport(runs.slice(0, 1), file('one.html'));
    await writeReport(runs, file('both.html'));
    writeComparison(COMPARISON, file('comparison.html'));
    // A superuser's Chromium has no sandbox.
    const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
    browser = await launch({ executablePath: CHROMIUM, args });
  });
  after(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true });
  });

  for (const name of ['one.html', 'both.html', 'comparison.html']) {
    test(`${name} says nothing on the console and asks for nothing but itself`, async () => {
      const { page, messages, requests } = await openFile(name);
      assert.deepEqual(messages, []);
      const others = requests.filter((url) => !url.startsWith('data:'));
      assert.deepEqual(others, [pathToFileURL(file(name)).href]);
      await page.close();
    });

    test(`${name} shows hostile text as text`, async () => {
      const { page } = await openFile(name);
      assert.equal(await ask(page, 'window.hacked'), undefined);
      const strange = `document.querySelectorAll('img:not([src^="data:image/png"]), script').length`;
      assert.equal(await ask(page, strange), 0);
      assert.ok((await ask<string>(page, 'document.body.textContent')).includes(HOSTILE));
      await page.close();
    });

    test(`${name} fits a phone, its charts legible`, async () => {
      const { page } = await openFile(name, { width: 390 });
      assert.equal(await ask(page, 'document.documentElement.scrollWidth'), 390);
      const heights = `[...document.querySelectorAll('svg text')]
        .filter((text) => text.textContent.trim() !== '' && !text.transform.baseVal[1])
        .map((text) => parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a)`;
      // Pixels of CSS. Nearly all is 10; the counts in the matrix are 8.
      for (const size of await ask<number[]>(page, heights)) {
        assert.ok(size === 0 || Math.abs(size) >= 8, `${size} px`);
      }
      await page.close();
    });
  }

  test('draws a curve for each run and a mark for each test', async () => {
    const { page } = await openFile('both.html');
    const drawn = `[...document.querySelectorAll('figure svg')].map((svg) => ({
      title: svg.querySelector(':scope > title').textContent,
      lines: [...svg.querySelectorAll('[aria-label=line] path')].filter((path) => path.getTotalLength() > 5).length,
      dots: svg.querySelectorAll('[aria-label=dot] circle').length,
      bars: [...svg.querySelectorAll('[aria-label=bar] rect')].filter((bar) => bar.getBBox().width > 0).length,
      cells: svg.querySelectorAll('[aria-label=cell] rect').length,
    }))`;
    const none = { lines: 0, dots: 0, bars: 0, cells: 0 };
    assert.deepEqual(await ask(page, drawn), [
      { ...none, title: 'Loss', lines: 4, dots: 20 },
      { ...none, title: 'Accuracy (top-1)', lines: 4, dots: 20 },
      { ...none, title: 'Learning rate', lines: 2 },
      { ...none, title: 'Throughput', lines: 2 },
      // data, forward, backward, copying, waiting, update, other: of each run.
      { ...none, title: 'Where the time of a step goes', bars: 14 },
      // The counts that are not 0.
      { ...none, title: `Confusion matrix of ${file('one')}`, cells: 6 },
      { ...none, title: `Confusion matrix of ${file('two')}`, cells: 6 },
    ]);
    const pictures = `[...document.images].map((image) => image.complete && image.naturalWidth > 0)`;
    assert.deepEqual(await ask(page, pictures), [true, true, true, true]);
    await page.close();
  });

  test('draws a bar for each placement, as long as its step and divided into its parts', async () => {
    const { page } = await openFile('comparison.html');
    const bars = `[...document.querySelectorAll('[aria-label=bar] rect')].map((bar) => {
      const { x, y, width } = bar.getBBox();
      return { x, y, end: x + width };
    })`;
    const parts = await ask<{ x: number; y: number; end: number }[]>(page, bars);
    const rows = [...new Set(parts.map(({ y }) => y))].sort((one, other) => one - other);
    const lengths = rows.map((row) => {
      const own = parts.filter(({ y }) => y === row);
      assert.equal(own.length, 6);
      return Math.max(...own.map(({ end }) => end)) - Math.min(...own.map(({ x }) => x));
    });
    // 100, 110 and 120 ms; a pixel is left free at each part's end.
    const perMillisecond = (lengths[0]! + 1) / 100;
    lengths.forEach((length, index) => {
      assert.ok(Math.abs((length + 1) / perMillisecond - (100 + 10 * index)) < 0.1, lengths.join());
    });
    await page.close();
  });

  test('is light or dark as the system is, with enough contrast, and light on paper', async () => {
    const { page } = await openFile('one.html');
    const light = await ask<Colours>(page, COLOURS);
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
    const dark = await ask<Colours>(page, COLOURS);
    for (const { page: ground, ink, variables } of [light, dark]) {
      for (const text of [ink, ...variables.slice(0, 2)]) assert.ok(contrast(text, ground) >= 4.5);
      for (const mark of variables.slice(2)) assert.ok(contrast(mark, ground) >= 3, mark);
    }
    assert.ok(contrast(light.page, dark.page) > 10);
    await page.emulateMediaType('print');
    assert.deepEqual(await ask<Colours>(page, COLOURS), light);
    const pdf = await page.pdf({ format: 'A4' });
    assert.equal(Buffer.from(pdf.subarray(0, 5)).toString(), '%PDF-');
    await page.close();
  });

  test('keeps the report of 3,000 steps small', () => {
    // About 10 bytes a coordinate: 400 points of 4 curves, 60 KB of the rest.
    assert.ok(statSync(file('one.html')).size < 200_000);
  });

  test('a page of the dashboard that is left open continues after a restart', async () => {
    let server = new DashboardServer();
    const port = await server.listen(0);
    server.show(file('one'), NOWHERE);
    const { page, requests } = await open(`http://127.0.0.1:${port}/`);
    const shows = (text: string) =>
      page.waitForFunction(`document.body.textContent.includes(${JSON.stringify(text)})`);
    await page.click('a[href="runs/one/"]');
    await shows(file('one'));
    await server.close();
    await shows('no answer from the run');
    assert.equal(await ask<string>(page, `document.querySelector('h1').textContent`), file('one'));
    server = new DashboardServer();
    await server.listen(port);
    server.show(file('two'), NOWHERE);
    await page.waitForFunction(`document.getElementById('connection').textContent === 'live'`);
    await page.click('a[href="../../"]');
    await shows('2 runs');
    assert.equal(await ask(page, 'window.hacked'), undefined);
    for (const url of requests)
      assert.match(url, new RegExp(`^(http://127\\.0\\.0\\.1:${port}/|data:)`));
    await page.close();
    await server.close();
  });

  for (const scheme of ['light', 'dark'] as const) {
    test(`the list of runs fits a phone and has enough contrast, ${scheme}`, async () => {
      const server = new DashboardServer();
      const port = await server.listen(0);
      server.show(file('one'), NOWHERE);
      const { page, messages } = await open(`http://127.0.0.1:${port}/`, { width: 390, scheme });
      assert.deepEqual(messages, []);
      assert.equal(await ask(page, 'document.documentElement.scrollWidth'), 390);
      const colourOf = (selector: string, property: string) =>
        ask<string>(page, `getComputedStyle(document.querySelector('${selector}')).${property}`);
      const ground = await colourOf('body', 'backgroundColor');
      for (const selector of ['.runs a', '.runs td strong', '.runs td']) {
        assert.ok(contrast(await colourOf(selector, 'color'), ground) >= 4.5, selector);
      }
      await page.close();
      await server.close();
    });
  }
});
