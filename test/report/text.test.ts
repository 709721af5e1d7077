import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatPercent,
  formatTable,
  inRows,
  terminalWidth,
} from '../../src/report/text.js';

function table<Value>(format: (value: Value) => string, expected: [Value, string][]): void {
  for (const [value, text] of expected) {
    test(`${String(value)} is ${text}`, () => assert.equal(format(value), text));
  }
}

suite('duration in seconds', () => {
  table(formatDuration, [
    [0, '0.0 s'],
    [0.84, '0.8 s'],
    [9.94, '9.9 s'],
    [9.96, '10 s'],
    [59.4, '59 s'],
    [59.6, '1 m 00 s'],
    [125, '2 m 05 s'],
    [3599.6, '1 h 00 m'],
    [3600 + 150, '1 h 03 m'],
    [24 * 3600 - 10, '1 d 00 h'],
    [76 * 3600, '3 d 04 h'],
    [Infinity, '–'],
    [NaN, '–'],
  ]);
});

suite('count', () => {
  table(formatCount, [
    [999, '999'],
    [60_965_224, '60,965,224'],
  ]);
});

suite('bytes', () => {
  table(formatBytes, [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '0.98 KiB'],
    [1536, '1.50 KiB'],
    [93 * 2 ** 20, '93.0 MiB'],
    [243_860_896, '233 MiB'],
    [1020 * 2 ** 20, '1.00 GiB'],
    [5 * 2 ** 50, '5120 TiB'],
  ]);
});

suite('fraction', () => {
  table(formatPercent, [
    [0.4795, '47.95 %'],
    [1, '100.00 %'],
  ]);
});

suite('table', () => {
  const headings = ['layer', 'shape', 'parameters'];
  const rows = [
    ['conv1', '96', '34,944'],
    ['a very long layer name', '4096', '37,752,832'],
  ];

  test('aligns the first column left and the others right', () => {
    assert.equal(
      formatTable(headings, rows, 80),
      [
        'layer                   shape  parameters',
        'conv1                      96      34,944',
        'a very long layer name   4096  37,752,832',
      ].join('\n'),
    );
  });

  test('at exactly its width it is whole', () => {
    assert.match(formatTable(headings, rows, 41), /a very long layer name/);
  });

  test('cuts its first column to fit', () => {
    assert.equal(
      formatTable(headings, rows, 30),
      [
        'layer        shape  parameters',
        'conv1           96      34,944',
        'a very lon…   4096  37,752,832',
      ].join('\n'),
    );
  });

  test('becomes blocks where cutting does not do', () => {
    assert.equal(
      formatTable(headings, rows, 20),
      [
        'layer: conv1',
        'shape: 96',
        'parameters: 34,944',
        '',
        'layer: a very long layer name',
        'shape: 4096',
        'parameters: 37,752,832',
      ].join('\n'),
    );
  });

  test('leaves no blanks at line ends where a cell is missing', () => {
    assert.equal(formatTable(['a', 'b'], [['x']], 80), 'a  b\nx');
  });
});

suite('parts in rows', () => {
  const parts = ['epoch 12 test: top-1 78.80 %', 'top-5 100.00 %', 'loss 0.4189'];

  test('stand next to each other as far as they fit', () => {
    assert.deepEqual(inRows(parts, 46), [
      'epoch 12 test: top-1 78.80 %  top-5 100.00 %',
      'loss 0.4189',
    ]);
  });

  for (const width of [14, 20, 27]) {
    test(`show every word in ${width} columns`, () => {
      const rows = inRows(parts, width);
      for (const row of rows) assert.ok(row.length <= width, `"${row}"`);
      assert.deepEqual(rows.join(' ').split(/ +/), parts.join(' ').split(' '));
    });
  }

  test('are cut where a word is wider than a row', () => {
    assert.deepEqual(inRows(['runs/demo'], 6), ['runs/…']);
  });
});

suite('the width of the terminal', () => {
  for (const [columns, width] of [
    [120, 120],
    [0, 80],
    [undefined, 80],
  ] as const) {
    test(`is ${width} where stdout has ${columns} columns`, (context) => {
      const { COLUMNS } = process.env;
      delete process.env['COLUMNS'];
      const own = Object.getOwnPropertyDescriptor(process.stdout, 'columns');
      Object.defineProperty(process.stdout, 'columns', { value: columns, configurable: true });
      context.after(() => {
        if (COLUMNS !== undefined) process.env['COLUMNS'] = COLUMNS;
        if (own === undefined) Reflect.deleteProperty(process.stdout, 'columns');
        else Object.defineProperty(process.stdout, 'columns', own);
      });
      assert.equal(terminalWidth(), width);
    });
  }
});
