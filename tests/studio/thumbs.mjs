// The small pictures of tiles: one request for all that are missing, nothing shown for another, nothing kept that is not shown.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { thumbs } from '../../studio/static/lib/thumbs.js';

let asked, missing, version, waiting, alive;
const given = (id) => new Uint8Array([id, version, ...Array(id % 5).fill(7)]);
/** An answer as studio/data/packed.py lays it out. */
function packed(ids) {
  const parts = ids.map(given);
  const text = new TextEncoder().encode(JSON.stringify({ id: ids, bytes: parts.map((p) => p.length) }));
  const padded = text.length + (-text.length & 3);
  const out = new Uint8Array(4 + padded + parts.reduce((n, p) => n + p.length, 0)).fill(32);
  new DataView(out.buffer).setUint32(0, padded, true);
  out.set(text, 4);
  let at = 4 + padded;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out.buffer;
}
const image = () => ({ src: null, getAttribute() { return this.src; }, removeAttribute() { this.src = null; } });
const make = () => thumbs({
  ask: async (ids) => {
    asked.push(ids);
    if (waiting) await waiting;
    return packed(ids.filter((id) => !missing.has(id)));
  },
  version: () => version,
});
const bytesOf = async (source) => [...new Uint8Array(await (await fetch(source)).arrayBuffer())];
const real = { make: URL.createObjectURL, revoke: URL.revokeObjectURL };

beforeEach(() => {
  [asked, missing, version, waiting, alive] = [[], new Set(), 1, null, new Set()];
  URL.createObjectURL = (blob) => {
    const source = real.make.call(URL, blob);
    alive.add(source);
    return source;
  };
  URL.revokeObjectURL = (source) => {
    alive.delete(source);
    real.revoke.call(URL, source);
  };
});

test('all that are missing come in one request, and each tile shows its own', async () => {
  const sheet = make();
  const tiles = [[image(), 9], [image(), 3], [image(), 12]];
  await sheet.show(tiles);
  assert.deepEqual(asked, [[3, 9, 12]]);
  for (const [tile, id] of tiles) assert.deepEqual(await bytesOf(tile.src), [...given(id)]);
});

test('what was brought is shown at once, and another order asks for nothing', async () => {
  const sheet = make();
  await sheet.bring([1, 2, 3]);
  const images = [image(), image(), image()];
  sheet.show(images.map((tile, i) => [tile, i + 1])); // not waited for
  assert.ok(images.every((tile) => tile.src?.startsWith('blob:')));
  const first = images[0].src;
  sheet.show(images.map((tile, i) => [tile, 3 - i]));
  assert.equal(images[2].src, first);
  assert.equal(asked.length, 1);
  assert.equal(alive.size, 3);
});

test('what no tile shows any more is let go', async () => {
  const sheet = make();
  const tile = image();
  for (let id = 1; id < 20; id++) await sheet.show([[tile, id]]);
  assert.deepEqual([...alive], [tile.src]);
  await sheet.show([]);
  assert.equal(alive.size, 0);
});

test('a picture in its place stays until the next is there', async () => {
  const sheet = make();
  const tile = image();
  await sheet.show([[tile, 1]]);
  const before = tile.src;
  let go;
  waiting = new Promise((done) => (go = done));
  const shown = sheet.show([[tile, 2]]);
  assert.equal(tile.src, before);
  assert.ok(alive.has(before));
  go();
  await shown;
  assert.deepEqual(await bytesOf(tile.src), [...given(2)]);
  assert.deepEqual([...alive], [tile.src]);
});

test('an answer that comes late does not put its pictures over newer ones', async () => {
  const sheet = make();
  const tile = image();
  let go;
  waiting = new Promise((done) => (go = done));
  const late = sheet.show([[tile, 1]]);
  waiting = null;
  await sheet.show([[tile, 2]]);
  const wanted = tile.src;
  go();
  await late;
  assert.equal(tile.src, wanted);
});

test('what is shown again soon is kept', async () => {
  const sheet = make();
  const tile = image();
  await sheet.show([[tile, 1]]);
  const first = tile.src;
  await sheet.show([[tile, 2]], [1]);
  sheet.show([[tile, 1]]); // not waited for
  assert.equal(tile.src, first);
  assert.equal(asked.length, 2);
});

test('a picture that does not exist leaves an empty frame, and is not asked for again', async () => {
  const sheet = make();
  const [here, gone] = [image(), image()];
  missing.add(5);
  await sheet.show([[here, 4], [gone, 4]]);
  await sheet.show([[here, 4], [gone, 5]]);
  assert.ok(here.src.startsWith('blob:'));
  assert.equal(gone.src, null);
  sheet.again();
  assert.equal(asked.length, 2);
});

test('while the server is away the frame is empty, and filled when it is back', async () => {
  const sheet = make();
  const tile = image();
  await sheet.show([[tile, 1]]);
  waiting = Promise.reject(new Error('no server'));
  await sheet.show([[tile, 2]]);
  assert.equal(tile.src, null);
  waiting = null;
  await sheet.again();
  assert.deepEqual(await bytesOf(tile.src), [...given(2)]);
  sheet.again();
  assert.equal(asked.length, 3);
});

test('the same number is another picture in another version', async () => {
  const sheet = make();
  const tile = image();
  await sheet.show([[tile, 1]]);
  version = 2;
  await sheet.show([[tile, 1]]);
  assert.deepEqual(await bytesOf(tile.src), [1, 2, 7]);
  assert.equal(asked.length, 2);
});
