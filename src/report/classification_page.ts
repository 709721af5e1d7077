/**
 * The page of `export --format html`: its text, and the places that its script (browser/classify.ts) fills. The script
 * finds them by their ids.
 */
import type { ImageView } from '../configuration.js';
import { html, type Markup } from './markup.js';
import { legend, section } from './page.js';
import type { PageContent } from './page.js';

/** The page has so many colours for towers. */
const TOWER_COLOURS = 8;

/** What the page says of its network. */
export interface ClassifierDescription {
  /** The preset's name. */
  name: string;
  towers: number;
  /** Number of classes. */
  classes: number;
  parameters: string;
  /** What of a picture the network sees. */
  view: ImageView;
  /** Crops of each picture, whose probabilities are averaged. */
  crops: number;
  /** The network's input, pixels. */
  height: number;
  width: number;
}

export function classificationPage(of: ClassifierDescription): PageContent {
  return {
    title: `${of.name} in the browser`,
    subtitle: `${of.parameters} parameters, ${of.classes} classes, ${of.towers === 1 ? 'one tower' : `${of.towers} towers`}. The page computes on this device and sends nothing anywhere.`,
    sections: [
      html`<section>
        <div id="drop" class="drop">
          <p><strong>Drop a picture here</strong>, or</p>
          <p class="buttons">
            <label class="button">
              Choose a picture
              <input type="file" id="file" accept="image/*" disabled />
            </label>
            <button type="button" id="camera" class="button" disabled hidden>Use the camera</button>
          </p>
          <div id="viewfinder" hidden>
            <video id="video" playsinline muted></video>
            <p class="buttons">
              <button type="button" id="shoot" class="button">Take the picture</button>
              <button type="button" id="stop" class="button">Stop the camera</button>
            </p>
          </div>
        </div>
        <p id="status" class="below" role="status">Reading the network …</p>
      </section>`,
      html`<div id="results" hidden>
        ${section(
          'Most probable',
          html`<div class="beside">
            <figure>
              <figcaption>What the network sees</figcaption>
              <canvas id="seen"></canvas>
            </figure>
            <div id="top" class="bars"></div>
          </div>`,
        )}
        ${of.towers === 1 ? null : activity(of.towers)}
      </div>`,
      section('First-layer kernels', html`<div id="kernels" class="pictures"></div>`),
      section('How it works', preprocessing(of)),
    ],
  };
}

function activity(towers: number): Markup {
  return section(
    'Which tower was active',
    html`<p class="note">
        Each tower has 1/${towers} of every layer’s kernels or units. A bar shows how the layer’s
        activation for this picture divides among the towers: the sum of all outputs of a tower’s
        kernels after ReLU, as a share of the sum over all towers. Equal parts mean that the towers
        were equally active. A large share says that a tower responds strongly, not that it decided
        the answer.
      </p>
      ${legend(towerColours(towers))}
      <div id="activity" class="bars"></div>`,
  );
}

/** The script's bars have the same colours. */
function towerColours(towers: number): { colour: string; label: string }[] {
  return Array.from({ length: towers }, (_, tower) => ({
    colour: `var(--series-${tower % TOWER_COLOURS})`,
    label: `tower ${tower}`,
  }));
}

function preprocessing({ view, crops, height, width }: ClassifierDescription): Markup {
  const size = `${height}×${width}`;
  const seen =
    view.type !== 'crop'
      ? `resized to ${size} pixels`
      : `resized until its shorter side has ${view.from} pixels, and cut to the ${view.from}×${view.from} in its centre; of these the network sees ${
          crops === 1
            ? `the ${size} in the centre`
            : `${crops} crops of ${size}, whose probabilities are averaged: the centre, the corners, and all of them flipped`
        }`;
  return html`<p class="note">
    The picture is turned upright as its EXIF data say, converted to sRGB, and ${seen}. The
    arithmetic is that of twotower’s <code>predict</code>. The browser decodes the picture. It gets
    the same pixels from a PNG; those of a JPEG, and half-transparent ones, may differ by a few
    steps of 255.
  </p>`;
}
