/** Text and pictures in SVG and HTML. Called by the pictures of `visualize` and by the report. */
import sharp from 'sharp';
import { printableLines } from './text.js';

/**
 * `text` as it must stand in markup, in an element or a quoted attribute. Most control characters may not
 * stand in XML at all.
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

/** Text that is markup already: made by `html`, or by a library that escapes. */
export class Markup {
  constructor(readonly text: string) {}
}

type Content = string | number | Markup | null | readonly Content[];

/** Markup of a template: what is put in is escaped, but for what is markup itself; null is nothing. */
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

/** For `src` or `href`, so that the file needs no other. */
export function dataUri(png: Uint8Array): string {
  return `data:image/png;base64,${Buffer.from(png).toString('base64')}`;
}

/** A whole SVG document, drawn in black on white, as a PNG. */
export async function drawSvg(width: number, height: number, body: string): Promise<Uint8Array> {
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
    `font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" image-rendering="pixelated">` +
    `<rect width="100%" height="100%" fill="white"/>${body}</svg>`;
  return sharp(Buffer.from(svg)).png().toBuffer();
}
