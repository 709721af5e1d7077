import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { type FileList, fileList, packNames } from '../../src/data/file_list.js';
import { pathsOf } from './image_folders.js';

test('a list of files gives back every path, of several parts and of any letters', () => {
  const parts = [['cat/ä b.jpg', 'cat/x'], [], ['猫/🐈.png']];
  const list = fileList('/data/train/', parts.map(packNames));
  assert.deepEqual(
    pathsOf(list),
    parts.flat().map((name) => `/data/train/${name}`),
  );
});

test('without a prefix paths are those that were given', () => {
  assert.deepEqual(pathsOf(fileList('', [packNames(['./a.jpg', '/b.jpg'])])), [
    './a.jpg',
    '/b.jpg',
  ]);
});

test('a list that is sent to another thread is not copied', () => {
  const list = fileList('/', [packNames(['a', 'b'])]);
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(list);
  const received = receiveMessageOnPort(port2)!.message as FileList;
  list.names[0] = 'z'.charCodeAt(0);
  assert.deepEqual(pathsOf(received), ['/z', '/b']);
  port1.close();
});
