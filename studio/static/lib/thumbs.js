// The small pictures of tiles, all that are missing in one request: one for each would cost the server 24 an iteration.

import { unpacked } from './packed.js';

/**
 * {bring(ids), show(tiles)} for one group of tiles. `ask(ids)` gives the buffer of many pictures (studio/data/thumbs.py), `alone(id)` the
 * address of one, and `version()` changes when the same number may stand for another picture.
 */
export function thumbs({ ask, alone, version }) {
  const kept = new Map(); // version and id -> address of the picture in memory
  const keyOf = (id) => `${version()} ${id}`;

  /** Fetch what is not here yet, so that it can be shown at once with what belongs to it. */
  async function bring(ids) {
    const now = version();
    const missing = [...new Set(ids)].filter((id) => !kept.has(`${now} ${id}`)).sort((a, b) => a - b);
    if (!missing.length) return;
    const buffer = await ask(missing).catch(() => null);
    if (!buffer) return;
    const [told, first] = unpacked(buffer);
    let at = first;
    told.id.forEach((id, i) => {
      const key = `${now} ${id}`;
      if (!kept.has(key)) kept.set(key, URL.createObjectURL(new Blob([new Uint8Array(buffer, at, told.bytes[i])], { type: 'image/webp' })));
      at += told.bytes[i];
    });
  }

  let latest = null;

  /** `tiles`: [[image, id], ...], all there are. What comes with no answer to the rest is left to the browser; what no tile shows is let go. */
  async function show(tiles) {
    latest = tiles;
    const missing = tiles.filter(([, id]) => !kept.has(keyOf(id)));
    place(tiles);
    if (!missing.length) return;
    await bring(missing.map(([, id]) => id));
    if (latest !== tiles) return;
    place(tiles);
    for (const [image, id] of missing) if (!kept.has(keyOf(id)) && image.getAttribute('src') !== alone(id)) image.src = alone(id);
  }

  function place(tiles) {
    for (const [image, id] of tiles) {
      const source = kept.get(keyOf(id));
      if (source && image.getAttribute('src') !== source) image.src = source;
    }
    const used = new Set(tiles.map(([image]) => image.getAttribute('src')));
    const wanted = new Set(tiles.map(([, id]) => keyOf(id)));
    for (const [key, source] of kept) {
      if (wanted.has(key) || used.has(source)) continue;
      URL.revokeObjectURL(source);
      kept.delete(key);
    }
  }
  return { bring, show };
}
