/** Copies of the built program in which sources are changed as a page says. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ts from 'typescript';
import { ROOT } from './markdown.js';

/** What the built program reads beside itself. */
const NEIGHBOURS = ['package.json', 'node_modules', 'config', 'native', 'scripts'];

/** A change of one source. */
export interface Patch {
  /** Relative to the root. */
  file: string;
  /** Lines that occur once in it, and those that replace them; both with their line ends. */
  before: string;
  after: string;
  /** Number of lines removed or added, the larger of the two. */
  changedLines: number;
}

/** @param diff a first line `--- FILE`, then lines that begin with a space, `-` or `+` */
export function patchOf(diff: string): Patch {
  const [head, ...lines] = diff.trimEnd().split('\n');
  const [, file] = /^--- (\S+)$/.exec(head!) ?? [];
  assert.ok(file !== undefined, `a diff begins with --- FILE, not with ${head}`);
  const of = (marks: string) =>
    lines.filter((line) => marks.includes(line[0]!)).map((line) => `${line.slice(1)}\n`);
  return {
    file,
    before: of(' -').join(''),
    after: of(' +').join(''),
    changedLines: Math.max(of('-').length, of('+').length),
  };
}

/** @returns the folder of a copy of the program with this change; the caller removes it */
export function patchedProgram({ file, before, after }: Patch): string {
  const source = readFileSync(join(ROOT, file), 'utf8');
  const parts = source.split(before);
  assert.equal(parts.length, 2, `${file} has the lines once that the page changes`);
  const folder = mkdtempSync(join(tmpdir(), 'twotower-patched-'));
  for (const name of NEIGHBOURS) symlinkSync(join(ROOT, name), join(folder, name));
  for (const part of ['src', 'workers', 'tfjs_gradients.cjs']) {
    cpSync(join(ROOT, 'dist', part), join(folder, 'dist', part), { recursive: true });
  }
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    verbatimModuleSyntax: true,
  };
  const { outputText } = ts.transpileModule(parts.join(after), { compilerOptions: options });
  writeFileSync(join(folder, 'dist', file.replace(/\.ts$/, '.js')), outputText);
  return folder;
}
