/** Puts results into the page. */
import { colourSelectivity, kernelGrid } from '../src/report/kernel_grid.js';
import type { KernelWeights } from '../src/report/kernel_grid.js';
import type { Picture } from '../src/report/markup.js';
import { formatPercent } from '../src/report/text.js';
import type { Classification } from './classifier.js';
import { element } from './element.js';

/** Classes shown: as many as the paper's top-5 error looks at. */
const SHOWN = 5;
/** The page has so many colours for towers. */
const COLOURS = 8;

/** The most probable classes, each with a bar. */
export function showMostProbable(probabilities: number[], classes: string[]): void {
  const rows = probabilities
    .map((probability, label) => ({ name: classes[label]!, probability }))
    .sort((one, other) => other.probability - one.probability)
    .slice(0, SHOWN)
    .map(({ name, probability }) => row(name, formatPercent(probability), [probability]));
  element('top').replaceChildren(...rows);
}

/** A bar per layer, divided among the towers. */
export function showActivity(activity: Classification['activity']): void {
  const rows = activity.map(({ layer, shares }) => {
    const text = shares?.map((share) => formatPercent(share)).join(' : ') ?? 'no activation';
    return row(layer, text, shares ?? []);
  });
  element('activity').replaceChildren(...rows);
}

/** Draws the kernels of each tower. */
export function showKernels(layer: string, weights: KernelWeights, towers: number): void {
  const selectivity = colourSelectivity(weights, towers);
  const figures = selectivity.map((value, tower) => {
    const figure = document.createElement('figure');
    const caption = document.createElement('figcaption');
    const whose = towers === 1 ? layer : `${layer}, tower ${tower}`;
    caption.textContent = `${whose}: colour selectivity ${value.toFixed(2)}`;
    if (towers > 1) caption.prepend(swatch(tower));
    const canvas = document.createElement('canvas');
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `${weights.shape[0]! / towers} kernels of ${whose}`);
    draw(canvas, kernelGrid(weights, towers, tower));
    figure.append(caption, canvas);
    return figure;
  });
  element('kernels').replaceChildren(...figures);
}

export function showSeen(picture: Picture): void {
  draw(element('seen', HTMLCanvasElement), picture);
}

/** A label, a bar of one or more parts, and a text. @param parts shares of the bar's whole length */
function row(label: string, text: string, parts: number[]): HTMLElement {
  const [line, bar] = [document.createElement('div'), document.createElement('div')];
  const [name, value] = [document.createElement('span'), document.createElement('data')];
  name.textContent = label;
  value.textContent = text;
  value.value = parts.join(' ');
  bar.className = 'bar';
  parts.forEach((share, part) => {
    const piece = swatch(part);
    piece.style.width = `${100 * share}%`;
    bar.append(piece);
  });
  line.append(name, value, bar);
  return line;
}

function swatch(tower: number): HTMLElement {
  const piece = document.createElement('i');
  piece.style.background = `var(--series-${tower % COLOURS})`;
  return piece;
}

function draw(canvas: HTMLCanvasElement, { width, height, pixels }: Picture): void {
  [canvas.width, canvas.height] = [width, height];
  const image = new ImageData(width, height);
  for (let from = 0, to = 0; to < image.data.length; from += 3, to += 4) {
    image.data.set([pixels[from]!, pixels[from + 1]!, pixels[from + 2]!, 255], to);
  }
  canvas.getContext('2d')!.putImageData(image, 0, 0);
}
