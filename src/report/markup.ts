/** Text and pictures in SVG and HTML. */
import sharp from 'sharp';
import { printableLines } from './text.js';

/**
 * Escapes text for an element or a quoted attribute. It also replaces control characters, most of which XML
 * does not allow.
 */
export function escapeMarkup(text: string): string {
  const entities: Record<string, string> = {
    '&': 'amp',
    '<': 'lt',
    '>': 'gt',
    '"': 'quot',
    "'": '#39',
  };
  return printableLines(text).replace(/[&<>"']/g, (character) => `&${entities[character]!};`);
}

/** Text that is already markup: made by `html`, or by a library that escapes. */
export class Markup {
  constructor(readonly text: string) {}
}

type Content = string | number | Markup | null | readonly Content[];

/** Markup from a template. Values are escaped unless they are markup themselves; null adds nothing. */
export function html(template: TemplateStringsArray, ...contents: Content[]): Markup {
  const inserted = contents.map((content) => markupOf(content));
  return new Markup(String.raw({ raw: template }, ...inserted));
}

function markupOf(content: Content): string {
  if (content === null) return '';
  if (content instanceof Markup) return content.text;
  if (typeof content === 'object') return content.map(markupOf).join('');
  return escapeMarkup(String(content));
}

/** 8-bit RGB, row by row. */
export interface Picture {
  width: number;
  height: number;
  pixels: Uint8Array;
}

export async function pngOf({ width, height, pixels }: Picture): Promise<Uint8Array> {
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** A data URI for `src` or `href`, so that the page needs no other file. */
export function dataUri(png: Uint8Array): string {
  return `data:image/png;base64,${Buffer.from(png).toString('base64')}`;
}

/** Renders a whole SVG document, black on white, as a PNG. */
export async function drawSvg(width: number, height: number, body: string): Promise<Uint8Array> {
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
    `font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" image-rendering="pixelated">` +
    `<rect width="100%" height="100%" fill="white"/>${body}</svg>`;
  return sharp(Buffer.from(svg)).png().toBuffer();
}
