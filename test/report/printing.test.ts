import assert from 'node:assert/strict';
import { suite, test, type TestContext } from 'node:test';
import { note, print, printJson } from '../../src/report/printing.js';
import { formatTable, printable } from '../../src/report/text.js';

/** A name that would clear the screen, turn letters around, ring, set the title, and break a line. */
const HOSTILE = 'cat\x1b[2J\u202egnp.\x07\x9b1A\u{e0041}\ud800\u2028\x7f\t"<b>';

/** What a call writes to the console. */
function written(context: TestContext, stream: 'log' | 'error', call: () => void): string {
  const { mock } = context.mock.method(console, stream, () => {});
  call();
  return String(mock.calls[0]!.arguments[0]);
}

suite('text from outside', () => {
  test('shows every character that a terminal obeys', () => {
    assert.equal(
      printable(HOSTILE),
      'cat\\u{1b}[2J\\u{202e}gnp.\\u{7}\\u{9b}1A\\u{e0041}\\u{d800}\\u{2028}\\u{7f}\\u{9}"<b>',
    );
  });

  test('of any script, with its joiners and emoji, stays as it is', () => {
    const names = 'Ægir снег 猫 می\u200cخواهم 👩\u200d🚀 naïve';
    assert.equal(printable(names), names);
  });

  test('is harmless in results and notes, whose lines stay', (context) => {
    for (const [stream, call] of [
      ['log', print],
      ['error', note],
    ] as const) {
      const text = written(context, stream, () => call(`one\n${HOSTILE}`));
      assert.equal(text, `one\n${printable(HOSTILE)}`);
    }
  });

  test('is harmless in JSON, and the same to who parses it', (context) => {
    const value = { [HOSTILE]: [HOSTILE] };
    const text = written(context, 'log', () => printJson(value));
    assert.equal(text, printable(text));
    assert.deepEqual(JSON.parse(text), value);
  });

  test('cannot break out of its row of a table', () => {
    const lines = formatTable(['class', 'images'], [['a\nb', '1']], 80).split('\n');
    assert.deepEqual(lines, ['class    images', 'a\\u{a}b       1']);
  });
});
