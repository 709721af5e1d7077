/** Numbers, tables and text from outside, as people read them in a terminal. Pure functions. */

/** Control characters, lone surrogates, bidirectional and invisible characters; not the joiners of scripts and emoji. */
const UNPRINTABLE = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/**
 * Makes text from outside (names of classes and files, messages that quote them) safe for a terminal or a
 * report: characters that would move the cursor, change colours or reorder letters are shown as `\u{1b}`.
 *
 * @param spelled how such a character is shown
 */
export function printable(text: string, spelled = bracedEscape): string {
  return text.replace(UNPRINTABLE, (character) => spelled(character));
}

function bracedEscape(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}

/** Like `printable`, but keeps line ends. */
export function printableLines(text: string): string {
  return text
    .split('\n')
    .map((line) => printable(line))
    .join('\n');
}

/**
 * @param seconds not negative
 * @returns `0.8 s` below ten seconds, then `42 s`, `2 m 05 s`, `1 h 02 m`, `3 d 04 h`
 */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–';
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return twoUnits(whole, 60, 'm', 's');
  const minutes = Math.round(seconds / 60);
  if (minutes < 24 * 60) return twoUnits(minutes, 60, 'h', 'm');
  return twoUnits(Math.round(seconds / 3600), 24, 'd', 'h');
}

function twoUnits(count: number, perLarge: number, large: string, small: string): string {
  const rest = String(count % perLarge).padStart(2, '0');
  return `${Math.floor(count / perLarge)} ${large} ${rest} ${small}`;
}

/** A whole number with thousands separators: `60,965,224`. */
export function formatCount(count: number): string {
  return Math.round(count).toLocaleString('en-US');
}

/** Powers of 1024, three digits: `512 B`, `1.50 KiB`, `93.0 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  // 999.5 would be rounded to four digits.
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  if (unit === 0) return `${Math.round(value)} B`;
  return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)} ${units[unit]}`;
}

/** A fraction as a percentage with two decimals: `47.95 %`. */
export function formatPercent(fraction: number): string {
  return `${(100 * fraction).toFixed(2)} %`;
}

/**
 * A table, its columns two spaces apart: the first aligned to the left, the others, numbers, to the right.
 *
 * @param width columns of the terminal. In a wider table the first column is cut with `…`; if that is not
 *   enough, each row becomes a block of `heading: cell` lines
 * @returns lines without a newline at the end
 */
export function formatTable(headings: string[], rows: string[][], width: number): string {
  rows = rows.map((row) => row.map((cell) => printable(cell)));
  const all = [headings, ...rows];
  const widths = headings.map((_, column) =>
    Math.max(...all.map((row) => (row[column] ?? '').length)),
  );
  const excess = widths.reduce((sum, length) => sum + length + 2, -2) - width;
  if (excess > 0) {
    const shortest = Math.max(headings[0]!.length, 8);
    if (widths[0]! - excess < shortest) return formatBlocks(headings, rows);
    widths[0]! -= excess;
  }
  return all
    .map((row) =>
      widths
        .map((length, column) => {
          const cell = row[column] ?? '';
          return column === 0 ? cutText(cell, length).padEnd(length) : cell.padStart(length);
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function formatBlocks(headings: string[], rows: string[][]): string {
  return rows
    .map((row) => headings.map((heading, column) => `${heading}: ${row[column] ?? ''}`).join('\n'))
    .join('\n\n');
}

/** `text`, or its beginning and `…` if it is longer than `length`. */
export function cutText(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

/**
 * Puts parts next to each other, two spaces apart, in as few rows as they fit in. A part that is wider than a
 * row continues on the next one; only a word that is wider is cut.
 */
export function inRows(parts: string[], width: number): string[] {
  const rows: string[] = [];
  for (const part of parts) {
    // A part that fits into a row is not divided.
    const words = part.length <= width ? [part] : part.split(' ');
    words.forEach((word, index) => {
      const gap = index === 0 ? '  ' : ' ';
      const last = rows.at(-1);
      if (last !== undefined && last.length + gap.length + word.length <= width) {
        rows[rows.length - 1] = `${last}${gap}${word}`;
      } else {
        rows.push(cutText(word, width));
      }
    });
  }
  return rows;
}

/** Columns of the terminal: `$COLUMNS` if it is set, 80 if stdout is no terminal or its width is unknown (0). */
export function terminalWidth(): number {
  const columns = Number(process.env['COLUMNS']);
  return columns > 0 ? columns : process.stdout.columns || 80;
}

/** `2026-03-01 14:05`, in local time. */
export function localTime(date: Date): string {
  const part = (value: number) => String(value).padStart(2, '0');
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(part).join('-');
  return `${day} ${part(date.getHours())}:${part(date.getMinutes())}`;
}
