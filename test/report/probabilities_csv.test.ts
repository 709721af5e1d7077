import assert from 'node:assert/strict';
import { test } from 'node:test';
import { probabilitiesCsv } from '../../src/report/probabilities_csv.js';

function csvOf(...given: Parameters<typeof probabilitiesCsv>): string {
  return Buffer.concat([...probabilitiesCsv(...given)]).toString();
}

test('a line of headings, then each image with its class and nine digits of its probabilities', () => {
  const images = [
    { number: 0, name: 'a.png', label: 1, probabilities: [1 / 3, 2 / 3] },
    { number: 7, name: 'b.png', label: 0, probabilities: [1 - 2 ** -40, 1.23456789e-12] },
  ];
  assert.equal(
    csvOf(['cat', 'dog'], images),
    'number,image,label,cat,dog\r\n0,a.png,dog,0.333333333,0.666666667\r\n7,b.png,cat,1,1.23456789e-12\r\n',
  );
});

test('names with commas, quotes and line ends are quoted', () => {
  const images = [{ number: 0, name: 'a\n"b".png', label: 0, probabilities: [1] }];
  assert.equal(
    csvOf(['crane, bird'], images),
    'number,image,label,"crane, bird"\r\n0,"a\n""b"".png","crane, bird",1\r\n',
  );
});
