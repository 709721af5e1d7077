import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite, test } from 'node:test';
import { readLabelList } from '../../src/data/label_list.js';
import { temporaryFolder } from './temporary.js';
import { userError } from './user_error.js';

const CLASSES = ['cat', 'cow', 'dog'];
const IMAGES = ['a.jpg', 'b.jpg', 'c.jpg'];

function read(text: string, { images = IMAGES, classes = CLASSES, name = 'val.txt' } = {}) {
  const file = path.join(temporaryFolder(), name);
  writeFileSync(file, text);
  return readLabelList(file, images, classes);
}

const labelsIn = (text: string, options?: Parameters<typeof read>[1]) => [
  ...read(text, options).labels,
];

suite('the lines of a label list', () => {
  const cases: [name: string, text: string][] = [
    ['name and class', 'a.jpg dog\nb.jpg cat\nc.jpg cow\n'],
    ['tabs and further columns', 'a.jpg\tdog\t0\t0\t9\nb.jpg\tcat\t0\t0\t9\nc.jpg\tcow\t1\t1\t9\n'],
    ['commas', 'a.jpg,dog\nb.jpg,cat\nc.jpg,cow'],
    ['semicolons', 'a.jpg;dog\nb.jpg;cat\nc.jpg;cow'],
    ['a header', 'filename,label\na.jpg,dog\nb.jpg,cat\nc.jpg,cow\n'],
    ['quotes', '"a.jpg","dog"\n"b.jpg","cat"\n"c.jpg","cow"\n'],
    ['CRLF', 'a.jpg dog\r\nb.jpg cat\r\nc.jpg cow\r\n'],
    ['the line ends of old Macs', 'a.jpg dog\rb.jpg cat\rc.jpg cow'],
    ['a byte-order mark', '\ufeffa.jpg dog\nb.jpg cat\nc.jpg cow\n'],
    ['comments and empty lines', '# made by hand\n\na.jpg dog\nb.jpg cat\n# the last\nc.jpg cow\n'],
    ['paths before the name', 'val/a.jpg dog\n/data/val/b.jpg cat\n./c.jpg cow\n'],
    ['backslashes', 'val\\a.jpg dog\nC:\\data\\b.jpg cat\nc.jpg cow\n'],
    ['names without an ending', 'a dog\nb cat\nc cow\n'],
    [
      'boxes after the class',
      'ImageId,PredictionString\na,dog 1 1 9 9 dog 2 2 9 9\nb,cat 1 1 2 2\nc,cow 0 0 1 1\n',
    ],
  ];
  for (const [name, text] of cases) {
    test(`are read with ${name}`, () => assert.deepEqual(labelsIn(text), [2, 0, 1]));
  }

  test('may have names with blanks: the last blank separates', () => {
    const images = ['my cat.jpg', 'a  b c.jpg'];
    assert.deepEqual(labelsIn('my cat.jpg 0\na  b c.jpg 2\n', { images }), [0, 2]);
  });

  test('may have names with commas', () => {
    const images = ['a, b.jpg', 'c.jpg'];
    assert.deepEqual(labelsIn('a, b.jpg cat\nc.jpg dog\n', { images }), [0, 2]);
  });

  test('may have quoted names with quotes and commas', () => {
    const images = ['a "b", c.jpg', 'd.jpg'];
    assert.deepEqual(labelsIn('"a ""b"", c.jpg",cat\nd.jpg,dog\n', { images }), [0, 2]);
  });

  test('may have classes with blanks after a tab or comma', () => {
    const classes = ['border collie', 'pug'];
    assert.deepEqual(labelsIn('a.jpg,pug\nb.jpg,border collie\nc.jpg,pug', { classes }), [1, 0, 1]);
  });

  test('may have accents composed in another way than the folders and files', () => {
    const composed = 'café'.normalize('NFC');
    const apart = 'café'.normalize('NFD');
    const options = { images: [`${composed}.jpg`], classes: [composed, 'tea'] };
    assert.deepEqual(labelsIn(`${apart}.jpg ${apart}\n`, options), [0]);
  });

  test('that have no class are named by their number', () => {
    assert.throws(
      () => read('a.jpg dog\nb.jpg\nc.jpg cow\n'),
      userError('val.txt, line 2', '"b.jpg"'),
    );
  });
});

suite('labels that are numbers', () => {
  test('are places from 0, and one line says so', () => {
    const { labels, notice } = read('a.jpg 2\nb.jpg 0\nc.jpg 1\n');
    assert.deepEqual([...labels], [2, 0, 1]);
    assert.match(notice!, /val\.txt: labels are places .* from 0: 0 is cat, 1 is cow, 2 is dog$/);
  });

  test('are places for the whole list where folders are called 1 to 12 and the list counts from 0', () => {
    const classes = Array.from({ length: 12 }, (_, at) => String(at + 1)).sort();
    const images = Array.from({ length: 12 }, (_, at) => `${at}.jpg`);
    const text = images.map((image, at) => `${image} ${at}\n`).join('');
    assert.deepEqual(labelsIn(text, { images, classes }), [...Array(12).keys()]);
  });

  test('are names where each is a folder and one is no place', () => {
    const classes = ['10', '20', '30'];
    assert.deepEqual(labelsIn('a.jpg 20\nb.jpg 10\nc.jpg 30\n', { classes }), [1, 0, 2]);
  });

  test('that mean the same class as a name and as a place need no decision', () => {
    const { labels, notice } = read('a.jpg 2\nb.jpg 0\nc.jpg 1\n', { classes: ['0', '1', '2'] });
    assert.deepEqual([[...labels], notice], [[2, 0, 1], null]);
  });

  test('that are names and places of other classes are refused, with both readings', () => {
    const classes = Array.from({ length: 12 }, (_, at) => String(at)).sort();
    assert.throws(
      () => read('a.jpg 0\nb.jpg 2\nc.jpg 11\n', { classes }),
      userError('val.txt, line 2', '"2" may be the folder of that name', 'the folder 10', 'rename'),
    );
  });

  test('that count from 1 are refused, and that is said', () => {
    assert.throws(
      () => read('a.jpg 3\nb.jpg 1\nc.jpg 2\n'),
      userError('line 1: "3" is neither', '0 to 2', 'seems to count from 1'),
    );
  });

  test('among names are refused: a list has labels of one kind', () => {
    assert.throws(() => read('a.jpg dog\nb.jpg 1\nc.jpg cow\n'), userError('line 2: "1"'));
  });
});
