/**
 * The process of one part: it gets the part's name and the settings, and sends each figure, then the outcome. Its folder for
 * temporary files is its own, and is removed after it.
 */
import { outcomeOf } from './figures.js';
import type { Figure, Outcome } from './figures.js';
import { PARTS } from './parts.js';
import type { PartName } from './parts.js';
import type { Settings } from './settings.js';

export interface PartRequest {
  part: PartName;
  settings: Settings;
}

export type PartMessage = { figure: Figure } | { outcome: Outcome };

const send = (message: PartMessage): void => void process.send!(message);

process.once('message', ({ part, settings }: PartRequest) => {
  const work = PARTS[part].run;
  void outcomeOf(
    (report) => work(settings, report),
    (figure) => send({ figure }),
  ).then((outcome) => {
    send({ outcome });
    process.disconnect();
  });
});
