/** The results of the GPU check as Markdown. */
import { formatCount } from '../../src/report/text.js';
import { isGood, isWithin } from './figures.js';
import type { Figure, Limit } from './figures.js';
import { PARTS } from './parts.js';
import type { PartResult } from './run_parts.js';

/** A part in one line, for the terminal and as a heading. */
export function headingOf({ part, state, seconds, reason }: PartResult): string {
  const why = reason === null ? '' : ` (${reason.split('\n')[0]})`;
  return `${PARTS[part].title}: ${state}, ${seconds.toFixed(1)} s${why}`;
}

/** A figure in one line: its value, and whether it is what is required and what is aimed at. */
export function lineOf(figure: Figure): string {
  const { name, bound, target } = figure;
  const judged = [
    ...(bound === undefined
      ? []
      : [`required ${limitOf(bound)}${isGood(figure) ? '' : ': NOT MET'}`]),
    ...(target === undefined ? [] : [targetOf(figure, target)]),
  ];
  return `${name}: ${valueOf(figure)}${judged.length === 0 ? '' : ` (${judged.join('; ')})`}`;
}

export function markdownOf(results: PartResult[]): string {
  const parts = results.map((result) => {
    const lines = result.figures.map((figure) => `- ${lineOf(figure)}\n`);
    const whole = result.reason?.includes('\n') ? `\n\`\`\`\n${result.reason}\n\`\`\`\n` : '';
    return `## ${headingOf(result)}\n${whole}\n${lines.join('')}`;
  });
  return `# GPU check\n\n${parts.join('\n')}`;
}

function targetOf({ value }: Figure, target: Limit): string {
  const isMet = typeof value === 'number' && isWithin(value, target);
  return `target ${limitOf(target)}: ${isMet ? 'met' : 'not met'}`;
}

function limitOf({ atLeast, atMost }: Limit): string {
  const parts = [
    ...(atLeast === undefined ? [] : [`≥ ${numberOf(atLeast)}`]),
    ...(atMost === undefined ? [] : [`≤ ${numberOf(atMost)}`]),
  ];
  return parts.join(' and ');
}

function valueOf({ value, unit }: Figure): string {
  const text = typeof value === 'number' ? numberOf(value) : value;
  return unit === undefined ? text : `${text} ${unit}`;
}

/** At least three digits, or all of a whole number. */
function numberOf(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return formatCount(value);
  return Math.abs(value) < 0.01 ? value.toExponential(1) : value.toPrecision(3);
}
