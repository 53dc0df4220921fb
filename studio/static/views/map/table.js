// The map's numbers: every picture that is on it now, newest iteration first.

import { fixed, h, lookName } from '../../lib/dom.js';
import { state, viewed } from '../../lib/store.js';
import { table } from '../../lib/table.js';

const MOST = 500; // rows

export function mapTable() {
  const back = h('button', { class: 'btn sm', onclick: () => toggle(false) }, 'Show the map');
  const place = h('div', { class: 'rows', role: 'region', tabindex: 0, 'aria-label': 'Pictures on the map' });
  const node = h('div', { class: 'maptable', hidden: true }, back, place);

  function toggle(open) {
    node.hidden = !open;
    draw();
    if (open) back.focus();
  }
  function draw() {
    if (node.hidden) return;
    const dots = state.dots.trail(viewed()).reverse().flatMap(([group]) => group.slice().sort((a, b) => b.reward - a.reward));
    const prompt = (dot) => state.info.prompts[dot.prompt].text.slice(0, 80);
    const rows = dots.slice(0, MOST).map((dot) => [dot.iteration, prompt(dot), lookName(dot.look), fixed(dot.reward), fixed(dot.x), fixed(dot.y), dot.id]);
    place.replaceChildren(table(['Iteration', 'Prompt', 'Look', 'Reward', 'x', 'y', 'Picture'], rows));
  }
  return { node, draw, toggle };
}
