/**
 * Prints a run's logits for images as JSON, a row per image, for scripts/check_weights.py to compare.
 *
 *     node dist/scripts/run_logits.js RUN IMAGE…
 */
import { logitsOfRun } from '../test/library/logits_of_run.js';

const [run, ...images] = process.argv.slice(2);
const rows = await logitsOfRun(run!, images);
console.log(JSON.stringify(rows.map((row) => [...row])));
