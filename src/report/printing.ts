/**
 * All that the commands print goes through here, so that a name from outside (a class, a file, a tensor,
 * a message that quotes one) cannot command the terminal. Called by the commands, `cli.ts` and the
 * progress display; nothing else calls `console`.
 */
import { printable, printableLines } from './text.js';

/** Results, on stdout: one line, or several that are laid out already. */
export function print(text: string): void {
  console.log(printableLines(text));
}

/** What is no result, such as a warning, on stderr. */
export function note(text: string): void {
  console.error(printableLines(text));
}

/** One line of JSON on stdout; what JSON lets pass but a terminal obeys is escaped as JSON does. */
export function printJson(value: unknown): void {
  console.log(printable(JSON.stringify(value), jsonEscape));
}

/** A character outside the first 65,536 takes two. */
function jsonEscape(character: string): string {
  return Array.from({ length: character.length }, (_, unit) => {
    return `\\u${character.charCodeAt(unit).toString(16).padStart(4, '0')}`;
  }).join('');
}
