import assert from 'node:assert/strict';
import { test } from 'node:test';
import { escapeMarkup } from '../../src/report/markup.js';

test('text cannot end an element or an attribute', () => {
  assert.equal(
    escapeMarkup(`</text><script>"a" & 'b'`),
    '&lt;/text&gt;&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;',
  );
});
