/** Where the time of a step goes, as bars and as numbers. */
import { drawDividedBars, PARTS } from './charts.js';
import type { DividedBar, Part } from './charts.js';
import { html } from './markup.js';
import type { Markup } from './markup.js';
import { figure, legend, section, table } from './page.js';

const PASSING = Object.keys(PARTS) as Part[];

/**
 * The measured parts of a step in chronological order, and the rest as `other`: messages to and from the
 * workers, and what the medians do not add up to.
 *
 * @param stepMs duration of the step without the wait for data, which comes before it
 * @param parts milliseconds of the measured parts
 */
export function dividedStep(
  stepMs: number,
  parts: Partial<Record<Part, number>>,
): DividedBar['parts'] {
  const within = Object.entries(parts).filter(([part]) => part !== 'data');
  const known = within.reduce((sum, [, milliseconds]) => sum + milliseconds, 0);
  const whole = { ...parts, other: Math.max(0, stepMs - known) };
  return PASSING.flatMap((part) => {
    const milliseconds = whole[part];
    return milliseconds === undefined ? [] : [{ part, milliseconds }];
  });
}

/** The bars, their legend, and the numbers as a table. */
export function dividedTime(bars: readonly DividedBar[]): Markup {
  const present = PASSING.filter((part) =>
    bars.some(({ parts }) => parts.some((own) => own.part === part)),
  );
  const title = 'Where the time of a step goes';
  const caption = {
    title,
    description: `A bar for each of ${bars.map(({ label }) => label).join('; ')}, divided into its parts. The table below has the numbers.`,
  };
  return section(
    title,
    legend(present.map((part) => ({ colour: `var(--part-${part})`, label: PARTS[part] }))),
    html`<div class="narrow">
      ${figure('Medians over the steps, of the mean over the workers', drawDividedBars(caption, bars))}
    </div>`,
    table({
      caption: 'Milliseconds per step',
      headings: ['part', ...bars.map(({ label }) => label)],
      rows: present.map((part) => [
        PARTS[part],
        ...bars.map(({ parts }) => {
          const own = parts.find((candidate) => candidate.part === part);
          return own === undefined ? '–' : own.milliseconds.toFixed(2);
        }),
      ]),
      numeric: true,
    }),
  );
}
