// Base and tuned on the same seeds: the base picture in a dashed frame, the tuned one in a solid frame.

import { fixed, glyph, h, lookName, NEW } from '../../lib/dom.js';

const SIDE = 68; // pixels
const source = (id) => `/api/runs/${encodeURIComponent('lesson:diverse')}/thumb/${id}.webp`;
const lookOf = (look) => (look == null ? null : look < 0 ? NEW : look);

/** `list`: [{seed, base, base_look, base_reward, tuned, tuned_look, tuned_reward}], base and tuned being ids of pictures. */
export function pairs(list) {
  const half = (pair, side, word) => {
    const [id, look, reward] = [pair[side], lookOf(pair[`${side}_look`]), pair[`${side}_reward`]];
    return h(
      'figure',
      { class: side },
      h('img', { src: source(id), width: SIDE, height: SIDE, loading: 'lazy', alt: `${word}, seed ${pair.seed}, ${lookName(look)}, reward ${fixed(reward, 1)}` }),
      h('figcaption', { 'aria-hidden': 'true' }, glyph(look, 10), h('span', {}, fixed(reward, 1))),
    );
  };
  return h(
    'div',
    { class: 'sec pairs', role: 'region', 'aria-label': 'Base and tuned', tabindex: 0 },
    h('div', { class: 'hd' }, h('h2', {}, 'Same seed, same noise'), h('span', { class: 'sub' }, 'dashed: base model; solid: tuned; below: look and reward')),
    h('div', { class: 'grid' }, list.map((pair) => h('div', { class: 'pair' }, half(pair, 'base', 'Base'), half(pair, 'tuned', 'Tuned')))),
  );
}
