/** What `assert.throws` and `assert.rejects` take for an error that a person can mend. */
import assert from 'node:assert/strict';
import { UserError } from '../../src/errors.js';

/** A UserError of one line that has all of `parts`. */
export function userError(...parts: string[]) {
  return (error: unknown) => {
    assert.ok(error instanceof UserError, String(error));
    for (const part of parts) assert.ok(error.message.includes(part), error.message);
    assert.ok(!error.message.includes('\n'));
    return true;
  };
}
