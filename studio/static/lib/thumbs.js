// The small pictures of tiles, all that are missing in one request: one for each would cost the server 24 an iteration.

import { unpacked } from './packed.js';

/**
 * {bring(ids), show(tiles, kept), again()} for one group of tiles. `ask(ids)` gives the buffer of many pictures (studio/data/thumbs.py), and
 * `version()` changes when the same number may stand for another picture.
 */
export function thumbs({ ask, version }) {
  const here = new Map(); // version and id -> address of the picture in memory, '' if there is none
  const keyOf = (id) => `${version()} ${id}`;
  let latest = { tiles: [], also: [] };

  /** Fetch what is not here yet, so that it can be shown at once with what belongs to it. */
  async function bring(ids) {
    const now = version();
    const missing = [...new Set(ids)].filter((id) => !here.has(`${now} ${id}`)).sort((a, b) => a - b);
    if (!missing.length) return;
    const buffer = await ask(missing).catch(() => null);
    if (!buffer) return; // again() asks once more
    const [told, first] = unpacked(buffer);
    const found = new Map();
    let at = first;
    told.id.forEach((id, i) => {
      found.set(id, new Uint8Array(buffer, at, told.bytes[i]));
      at += told.bytes[i];
    });
    for (const id of missing) {
      const key = `${now} ${id}`;
      if (here.has(key)) continue;
      here.set(key, found.has(id) ? URL.createObjectURL(new Blob([found.get(id)], { type: 'image/webp' })) : '');
    }
  }

  /** `tiles`: [[image, id], ...], all there are; `also`: ids that are shown again soon. What neither names is let go. */
  async function show(tiles, also = []) {
    const mine = (latest = { tiles, also });
    place(false);
    const missing = absent();
    if (!missing.length) return;
    await bring(missing);
    if (latest === mine) place(true);
  }

  /** Ask once more for what the last request did not bring, say because the server was away. */
  const again = () => (absent().length ? show(latest.tiles, latest.also) : undefined);
  const absent = () => latest.tiles.map(([, id]) => id).filter((id) => !here.has(keyOf(id)));

  /** A tile keeps its picture until its next one is here; if that does `fail` to come, an empty frame is better than a wrong picture. */
  function place(fail) {
    for (const [image, id] of latest.tiles) {
      const source = here.get(keyOf(id)) ?? (fail ? '' : null);
      if (source === null || image.getAttribute('src') === source) continue;
      if (source) image.src = source;
      else image.removeAttribute('src');
    }
    const used = new Set(latest.tiles.map(([image]) => image.getAttribute('src')));
    const wanted = new Set([...latest.tiles.map(([, id]) => id), ...latest.also].map(keyOf));
    for (const [key, source] of here) {
      if (wanted.has(key) || used.has(source)) continue;
      URL.revokeObjectURL(source);
      here.delete(key);
    }
  }
  return { bring, show, again };
}
