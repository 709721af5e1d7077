import assert from 'node:assert/strict';
import { test } from 'node:test';
import { escapeMarkup } from '../../src/report/markup.js';

test('text cannot end an element or an attribute', () => {
  assert.equal(
    escapeMarkup(`</text><script>"a" & 'b'`),
    '&lt;/text&gt;&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;',
  );
});

test('text cannot hold what no XML document may, but its lines stay', () => {
  assert.equal(escapeMarkup('a\u0007\u202eb\nc'), 'a\\u{7}\\u{202e}b\nc');
});
