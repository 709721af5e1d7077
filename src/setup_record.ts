/** What `npm run setup` leaves where it cannot build a part (scripts/setup.mjs): the reason, in a file of the part. */
import { existsSync, readFileSync } from 'node:fs';

/**
 * Why a part is missing, and the remedy, in one line.
 *
 * @param record the part's file
 */
export function recordedReason(record: string): string {
  if (!existsSync(record)) return 'it is not set up; run npm run setup';
  const { reason } = JSON.parse(readFileSync(record, 'utf8')) as { reason: string };
  return `${reason}; then run npm run setup`;
}
