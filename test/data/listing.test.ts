/** What people's folders have beside the images of classes: litter, subfolders, links, odd names. */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite, test } from 'node:test';
import sharp from 'sharp';
import { openFolder } from '../../src/data/folder.js';
import { dataAt } from '../../src/data/locate.js';
import { pathsOf } from './image_folders.js';
import { temporaryFolder } from './temporary.js';
import { userError } from './user_error.js';

const png = await sharp({
  create: { width: 4, height: 4, channels: 3, background: '#fa0' },
})
  .png()
  .toBuffer();

/** Files with a PNG's bytes unless a text is given; two classes and a test image are there before. */
function folderWith(files: Record<string, Uint8Array | string>): string {
  const folder = temporaryFolder();
  const all = { 'train/cat/1.png': png, 'train/dog/1.png': png, 'val/cat/1.png': png, ...files };
  for (const [name, content] of Object.entries(all)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), content);
  }
  return folder;
}

async function trainingNames(folder: string): Promise<string[]> {
  const { train } = await openFolder(folder);
  return pathsOf(train.files).map((file) => path.relative(path.join(folder, 'train'), file));
}

suite('litter', () => {
  const LITTER = [
    'train/.DS_Store',
    'train/cat/.DS_Store',
    'train/cat/._1.png',
    'train/.ipynb_checkpoints/1.png',
    'train/__MACOSX/cat/1.png',
    'train/@eaDir/cat@SynoEAStream',
    'train/cat/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg',
    'train/lost+found/1.png',
    'train/__pycache__/data.pyc',
    'train/$RECYCLE.BIN/1.png',
    'train/System Volume Information/x',
    'train/cat/Thumbs.db',
    'train/cat/desktop.ini',
  ];
  for (const file of LITTER) {
    test(`${file} is ignored without a word`, async () => {
      const folder = folderWith({ [file]: 'x' });
      const { classes, train, notices } = await openFolder(folder);
      assert.deepEqual([classes, train.count, notices], [['cat', 'dog'], 2, []]);
      assert.equal(dataAt(folder).classes, 2);
    });
  }

  test('an unknown stray folder is named, before the network is judged by it', async () => {
    const folder = folderWith({ 'train/notes/todo.txt': 'x' });
    await assert.rejects(
      openFolder(folder),
      userError(path.join(folder, 'train/notes'), 'no images'),
    );
  });

  test('files beside the class folders do not matter', async () => {
    const { classes } = await openFolder(
      folderWith({ 'train/classes.txt': 'cat', 'README.md': '' }),
    );
    assert.deepEqual(classes, ['cat', 'dog']);
  });

  test('a class without test images is said to be untested', async () => {
    const folder = folderWith({});
    mkdirSync(path.join(folder, 'val/dog'));
    const { notices } = await openFolder(folder);
    assert.deepEqual(notices, [
      `${path.join(folder, 'val/dog')} has no images: its class is not tested`,
    ]);
  });
});

suite('the images of a class', () => {
  test('are those of its subfolders too', async () => {
    const folder = folderWith({ 'train/cat/more/2.png': png, 'train/cat/more/and/3.png': png });
    assert.deepEqual(await trainingNames(folder), [
      ...['cat/1.png', 'cat/more/2.png', 'cat/more/and/3.png', 'dog/1.png'],
    ]);
  });

  test('are known by content where their names do not say so', async () => {
    const names = ['a.jfif', 'b.bmp', 'c.png_', 'd.JPG.orig', 'e', 'f.dat'];
    const files = Object.fromEntries(names.map((name) => [`train/cat/${name}`, png]));
    assert.deepEqual((await trainingNames(folderWith(files))).slice(0, -1), [
      ...['cat/1.png', ...names.map((name) => `cat/${name}`)],
    ]);
  });

  test('leave out other files, which are counted and named in one line', async () => {
    const files = ['a.txt', 'b.xml', 'c.mp4', 'd.csv'].map((name) => [`train/dog/${name}`, 'x']);
    const folder = folderWith(Object.fromEntries(files) as Record<string, string>);
    const { train, notices } = await openFolder(folder);
    assert.equal(train.count, 2);
    const [notice, ...others] = notices;
    assert.equal(others.length, 0);
    assert.match(
      notice!,
      /^4 files are no images and are left out of .*: train\/dog\/a\.txt, .* …$/,
    );
  });

  test('may lie in a folder called like an image', async () => {
    const folder = folderWith({ 'train/cat/holiday.jpg/2.png': png });
    assert.equal((await openFolder(folder)).train.count, 3);
  });

  test('may be links, and links in a circle end', async () => {
    const folder = folderWith({ 'elsewhere/2.png': png });
    symlinkSync(path.join(folder, 'elsewhere'), path.join(folder, 'train/cat/linked'));
    symlinkSync(path.join(folder, 'train/cat'), path.join(folder, 'train/cat/circle'));
    assert.deepEqual(await trainingNames(folder), ['cat/1.png', 'cat/linked/2.png', 'dog/1.png']);
  });

  test('with a broken link among the folders are refused, naming it', async () => {
    const folder = folderWith({});
    symlinkSync('/nowhere/at/all', path.join(folder, 'train/cow'));
    await assert.rejects(
      openFolder(folder),
      userError('train/cow is a broken link', 'fix or remove'),
    );
  });
});

suite('names', () => {
  const [composed, apart] = ['café'.normalize('NFC'), 'café'.normalize('NFD')];

  test('with accents composed in two ways are one class', async () => {
    const folder = folderWith({ [`train/${composed}/1.png`]: png, [`val/${apart}/1.png`]: png });
    const { classes, test } = await openFolder(folder);
    assert.deepEqual(classes, [composed, 'cat', 'dog']);
    assert.deepEqual([...test.labels], [0, 1]);
  });

  test('of two training folders that differ only in that are refused', async () => {
    const folder = folderWith({ [`train/${composed}/1.png`]: png, [`train/${apart}/1.png`]: png });
    await assert.rejects(openFolder(folder), userError('two folders called', 'move their images'));
  });

  for (const [what, from, to] of [
    ['a file', 'train/cat/1.png', Buffer.from('train/cat/gar\xe7on.png', 'latin1')],
    ['a class', 'train/dog', Buffer.from('train/vach\xe9', 'latin1')],
  ] as const) {
    test(`of ${what} that are not UTF-8 are refused as such`, async () => {
      const folder = folderWith({});
      renameSync(path.join(folder, from), Buffer.concat([Buffer.from(`${folder}/`), to]));
      await assert.rejects(openFolder(folder), userError('a name that is not UTF-8', 'convmv'));
    });
  }

  test('of a test class in other letters are refused, with the name to use', async () => {
    const folder = folderWith({ 'val/Dog/1.png': png });
    await assert.rejects(openFolder(folder), userError('val/Dog', 'rename it to dog'));
  });
});
