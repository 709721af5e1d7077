/** The project's pages as the tests read them: their text, links, headings and fenced blocks. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** All pages, relative to the root. */
export const PAGES = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];

export interface Link {
  text: string;
  /** As written, without the anchor; empty for a link within the page. */
  file: string;
  /** Without `#`; empty if there is none. */
  anchor: string;
}

/** A fenced block. */
export interface Block {
  /** What follows the opening fence, such as `diff`. */
  language: string;
  text: string;
}

const FENCE = /^```(.*)\n([^]*?)^```$/gm;

export function readPage(page: string): string {
  return readFileSync(join(ROOT, page), 'utf8');
}

/** Links and pictures that lead to files of the project. */
export function linksOf(markdown: string): Link[] {
  const prose = markdown.replace(FENCE, '');
  return [...prose.matchAll(/\[([^\]]*)\]\(([^)\s]+)\)/g)]
    .filter(([, , target]) => !/^[a-z]+:/.test(target!))
    .map(([, text, target]) => {
      const [file, anchor = ''] = target!.split('#');
      return { text: text!, file: file!, anchor };
    });
}

/** The anchors of a page's headings, as GitHub makes them. */
export function anchorsOf(markdown: string): string[] {
  const prose = markdown.replace(FENCE, '');
  return [...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-'),
  );
}

export function blocksOf(markdown: string): Block[] {
  return [...markdown.matchAll(FENCE)].map(([, language, text]) => ({
    language: language!,
    text: text!,
  }));
}
