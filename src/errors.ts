/**
 * The two kinds of failure that a user can meet.
 *
 * A `UserError` is one that the user can fix: the command line prints its message as one line, without a stack
 * trace. Anything else that is thrown is a defect of the program and keeps its stack.
 */

/** Names the thing that is wrong and the remedy, in one line. */
export class UserError extends Error {
  override readonly name = 'UserError';
}

/**
 * Whether the user can fix it: a `UserError`, or a device or its library that is missing or has failed, which the native addons
 * mark by a code.
 */
export function isForUser(thrown: unknown): boolean {
  return thrown instanceof UserError || codeOf(thrown) === 'DEVICE' || isOutOfMemory(thrown);
}

/** Whether a device's memory was full. */
export function isOutOfMemory(thrown: unknown): thrown is Error {
  return codeOf(thrown) === 'DEVICE_MEMORY';
}

function codeOf(thrown: unknown): unknown {
  return (thrown as { code?: unknown } | null)?.code;
}

/** The message of anything that was thrown, on one line. */
export function messageOf(thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return message.replace(/\s*\n\s*/g, ' ').trim();
}
