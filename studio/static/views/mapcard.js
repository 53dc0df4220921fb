// What lies under the pointer on the map, and the card that tells of it.

import { clamp, h } from '../lib/dom.js';
import { get, runPath, state, viewed } from '../lib/store.js';
import { actions, facts, look } from './map/facts.js';

const REACH = 12; // pixels
const DELAY = 80; // milliseconds

/** The dot nearest to pixel (mx, my), this run's before the base's, or null. */
export function nearest(frame, mx, my, withBase) {
  let best = null;
  let reach = REACH * REACH;
  const consider = (x, y, make) => {
    if (x !== x) return;
    const [px, py] = frame.place(x, y);
    const distance = (px - mx) ** 2 + (py - my) ** 2;
    if (distance < reach) [reach, best] = [distance, make];
  };
  for (const [group] of state.dots.trail(viewed()).reverse()) for (const dot of group) consider(dot.x, dot.y, () => dot);
  const { base } = state;
  if (withBase)
    for (let i = 0; i < base.n; i++)
      consider(base.x[i], base.y[i], () => ({ x: base.x[i], y: base.y[i], id: base.id[i], look: base.look[i], base: true }));
  return best && best();
}

/** The hover card. `show(dot)` after a moment, `pin(dot)` to keep it with its buttons, `hide()`. `told(words)` hears what it says. */
export class Card {
  constructor(frame, told) {
    this.frame = frame;
    this.told = told;
    this.node = h('div', { class: 'card', hidden: true });
    this.wanted = this.pinned = null;
  }

  show(dot) {
    clearTimeout(this.timer);
    if (this.pinned) return;
    this.wanted = dot;
    if (!dot) this.node.hidden = true;
    else this.timer = setTimeout(() => this.tell(dot), DELAY);
  }

  pin(dot) {
    this.pinned = this.wanted = dot;
    if (dot) this.tell(dot);
    else this.hide();
  }

  hide() {
    clearTimeout(this.timer);
    this.pinned = this.wanted = null;
    this.node.hidden = true;
  }

  async tell(dot) {
    const more = await get(runPath(`pictures/${dot.id}`)).catch(() => null);
    if (!more || dot !== this.wanted) return;
    const pinned = dot === this.pinned;
    this.node.replaceChildren(look(more, 128), facts(more), ...(pinned ? [actions(more)] : []));
    this.node.classList.toggle('pinned', pinned);
    this.node.hidden = false;
    this.told(more, pinned);
    this.move(dot);
  }

  /** To the side that hides the fewest dots, and never over the dot itself. */
  move(dot) {
    const { frame, node } = this;
    const [x, y] = frame.place(dot.x, dot.y);
    const [w, t] = [node.offsetWidth, node.offsetHeight];
    const dots = state.dots
      .trail(viewed())
      .flatMap(([group]) => group)
      .filter((d) => d.x === d.x)
      .map((d) => frame.place(d.x, d.y));
    const hides = (px, py, a, b, rim) => px > a - rim && px < a + w + rim && py > b - rim && py < b + t + rim;
    const cost = ([a, b]) => dots.filter(([px, py]) => hides(px, py, a, b, 8)).length + (hides(x, y, a, b, 6) ? 999 : 0);
    const spots = [
      [x - w / 2, y - t - 14],
      [x + 16, y - t / 2],
      [x - w - 16, y - t / 2],
      [x - w / 2, y + 14],
    ].map(([a, b]) => [clamp(a, 6, frame.width - w - 6), clamp(b, 6, frame.height - t - 6)]);
    const [left, top] = spots.sort((a, b) => cost(a) - cost(b))[0];
    node.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }
}
