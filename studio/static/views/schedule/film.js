// The film strip over the schedule map: one base picture after each denoising step, so that one sees what early and late steps do.

import { h } from '../../lib/dom.js';
import { runPath } from '../../lib/store.js';

const NARROWEST = 22; // pixels of a frame

/** {node, show(schedule)}. The node keeps its height; without a film it is hidden. */
export function filmStrip() {
  const node = h('div', { class: 'film', role: 'img', 'aria-label': 'One base picture after each step, from noise to clean' });
  node.title = 'One base picture after each step: first noise, then its layout, then its finish.';
  let drawn = '';
  return {
    node,
    show({ film, steps }) {
      node.hidden = !film;
      const [W, H] = [node.clientWidth, node.clientHeight];
      if (!film || !W) return;
      const source = runPath('film.webp');
      const key = [source, film, steps, W, H].join(' ');
      if (key === drawn) return;
      drawn = key;
      const shown = Math.min(film, steps, Math.max(2, Math.floor(W / NARROWEST)));
      const side = Math.min(H, W / shown);
      const edge = (j) => Math.round((j * W) / shown); // frames that touch begin and end at whole pixels: no ground shows between them
      const width = (j) => (side < H ? edge(j + 1) - edge(j) : side);
      const frames = places(shown, film);
      node.replaceChildren(...frames.map((frame, j) => h('i', { style: `${look(source, frame, film, side)};width:${width(j)}px;height:${side}px` })));
    },
  };
}

/** Which of `film` frames stand in `shown` places of equal width: the first, the last, and those between, evenly. */
const places = (shown, film) => Array.from({ length: shown }, (_, j) => Math.round((j * (film - 1)) / Math.max(1, shown - 1)));

const look = (source, frame, film, side) => `background:url("${source}") ${-frame * side}px 0/${film * side}px ${side}px`;
