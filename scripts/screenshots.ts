/**
 *     npm run setup && node dist/scripts/screenshots.js
 *
 * Makes docs/images/report-*.png, the pictures of docs/report.md: trains `demo` twice on generated images,
 * split and grouped, writes both reports, and photographs them in a headless Chromium. Two minutes
 * where the machine does nothing else; the timings in the pictures are of the machine as it is.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { launch } from 'puppeteer-core';
import type { Page } from 'puppeteer-core';
import sharp from 'sharp';
import { compare, train, writeComparison, writeReport } from 'twotower';

const CHROMIUM = '/usr/bin/chromium';
const IMAGES = join('docs', 'images');

/** What is photographed: a page from its top down to the heading, or so many pixels of it. */
interface Picture {
  name: string;
  page: string;
  width: number;
  scheme: 'light' | 'dark';
  scale: number;
  until: string | number;
}

const PICTURES: Picture[] = [
  {
    ...{ name: 'desktop', page: 'one.html', width: 1100, scheme: 'light', scale: 1 },
    until: 'Configuration',
  },
  {
    name: 'dark',
    page: 'both.html',
    width: 1100,
    scheme: 'dark',
    scale: 1,
    until: 'Where the time of a step goes',
  },
  { name: 'phone', page: 'one.html', width: 390, scheme: 'light', scale: 2, until: 1700 },
  {
    ...{ name: 'comparison', page: 'comparison.html', width: 900, scheme: 'light', scale: 1 },
    until: 'Workers',
  },
];

const folder = mkdtempSync(join(tmpdir(), 'twotower-screenshots-'));
const home = process.cwd();
try {
  await writePages();
  await photograph();
} finally {
  process.chdir(home);
  rmSync(folder, { recursive: true });
}

/** In the folder, so that the pages call the runs by short paths. */
async function writePages(): Promise<void> {
  process.chdir(folder);
  const split = await train({ preset: 'demo', cpu: 2, out: join('runs', 'split') });
  const grouped = await train({
    ...{ preset: 'demo', cpu: 1, towers: 2, seed: 2, learningRate: 0.01 },
    out: join('runs', 'grouped'),
  });
  await writeReport([split.path], 'one.html');
  await writeReport([split.path, grouped.path], 'both.html');
  writeComparison(await compare({ preset: 'demo', cpu: 2, steps: 20 }), 'comparison.html');
  process.chdir(home);
}

async function photograph(): Promise<void> {
  mkdirSync(IMAGES, { recursive: true });
  // A superuser's Chromium has no sandbox.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const browser = await launch({ executablePath: CHROMIUM, args });
  try {
    const page = await browser.newPage();
    for (const picture of PICTURES) await take(page, picture);
  } finally {
    await browser.close();
  }
}

async function take(page: Page, picture: Picture): Promise<void> {
  const { name, width, scheme, scale, until } = picture;
  await page.setViewport({ width, height: 800, deviceScaleFactor: scale });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  await page.goto(pathToFileURL(join(folder, picture.page)).href);
  const height =
    typeof until === 'number'
      ? until
      : ((await page.evaluate(
          `[...document.querySelectorAll('h2')].find((h2) => h2.textContent === '${until}').offsetTop`,
        )) as number);
  const clip = { x: 0, y: 0, width, height };
  const shot = await page.screenshot({ clip, captureBeyondViewport: true });
  // Few colours: a palette makes it a third as large.
  await sharp(shot)
    .png({ palette: true, colours: 128 })
    .toFile(join(IMAGES, `report-${name}.png`));
}
