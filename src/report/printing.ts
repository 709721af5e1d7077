/**
 * Everything that the commands print passes through here, so that a name from outside (a class, a file, a
 * tensor, a message that quotes one) cannot send commands to the terminal. Nothing else calls `console`.
 */
import { printable, printableLines } from './text.js';

/** Prints results on stdout: one line, or several that are already laid out. */
export function print(text: string): void {
  console.log(printableLines(text));
}

/** Prints warnings, errors and progress on stderr. */
export function note(text: string): void {
  console.error(printableLines(text));
}

/** Prints one line of JSON on stdout. Characters that JSON allows but a terminal obeys are escaped as JSON does. */
export function printJson(value: unknown): void {
  console.log(printable(JSON.stringify(value), jsonEscape));
}

/** A character beyond U+FFFF becomes two escapes. */
function jsonEscape(character: string): string {
  return Array.from({ length: character.length }, (_, unit) => {
    return `\\u${character.charCodeAt(unit).toString(16).padStart(4, '0')}`;
  }).join('');
}
