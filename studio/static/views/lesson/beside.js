// Variety of the replayed run as it plays, beside that of another run, dotted, and the base model's level.

import { $, fixed, h, svg } from '../../lib/dom.js';
import { dot, ink, stroke, text, through } from '../../lib/marks.js';
import { state, viewed } from '../../lib/store.js';
import { redraw } from '../live.js';

const L = 16,
  R = 104, // room for the longest words at the end of a line
  PRESENTED = 132, // the same in the large letters of present mode
  T = 14,
  B = 22;

/** {node, show(beside)}; beside: {words, path: [[iteration, variety]]} of the other run, or nothing. */
export function besidePath() {
  const node = h(
    'div',
    { class: 'sec mm-beside' },
    h('div', { class: 'hd' }, h('h2', {}, 'Variety'), h('span', { class: 'sub' }, '1 when all pictures are alike')),
    h('div', { class: 'plot' }),
  );
  const plot = $('.plot', node);
  let other = null;
  const draw = () => other && state.replay && state.rows.length && plot.replaceChildren(picture(plot.clientWidth, plot.clientHeight, other, plot.closest('.presenting') ? PRESENTED : R));
  const later = redraw(plot, 'rows view run theme', draw);
  return {
    node,
    show(beside) {
      other = beside ?? null;
      node.hidden = !other;
      later();
    },
  };
}

function picture(W, H, { words, path }, right) {
  const all = state.rows.map((r) => [r.iteration, r.variety]);
  const mine = all.filter(([iteration]) => iteration <= viewed());
  const base = state.rows[0].base;
  const last = Math.max(all.at(-1)[0], path.at(-1)[0]);
  const top = 1.08 * Math.max(base, ...[...all, ...path].map(([, v]) => v));
  const X = (t) => L + (t / last) * (W - L - right);
  const Y = (v) => H - B - (v / top) * (H - T - B);
  const place = ([t, v]) => [X(t), Y(v)];
  const end = W - right + 8;
  const [ox, oy] = place(path.at(-1)),
    [x, y] = place(mine.at(-1));
  let s = stroke(`M${L} ${H - B}H${W - right}`, '--line') + stroke(`M${L} ${Y(base)}H${W - right}`, '--base', 1.25, { 'stroke-dasharray': '3 3' });
  s += text(end, Y(base) + 4, `base ${fixed(base, 1)}`, 'start', 'm') + text(L, H - 6, 0) + text(W - right, H - 6, last, 'end');
  s += stroke(through(path.map(place)), '--text-3', 1.8, { 'stroke-dasharray': '0.1 4', 'stroke-linecap': 'round' });
  s += dot(ox, oy, 3, { fill: ink('--panel'), stroke: ink('--text-3'), 'stroke-width': 1.4 }) + text(ox + 8, oy + 4, `${words} ${fixed(path.at(-1)[1], 1)}`, 'start', 'm');
  s += stroke(through(mine.map(place)), '--ink', 2) + dot(x, y, 4.5, { fill: ink('--ink'), stroke: ink('--panel'), 'stroke-width': 1.5 });
  s += text(x > end - 60 ? end : x + 9, Math.abs(y - Y(base)) < 14 ? Y(base) + 18 : y + 4, `now ${fixed(mine.at(-1)[1], 1)}`, 'start', 's');
  const label = `Variety at iteration ${mine.at(-1)[0]}: ${fixed(mine.at(-1)[1], 1)}, the base model ${fixed(base, 1)}; ${words} ended with ${fixed(path.at(-1)[1], 1)}`;
  return svg(W, H, s, { role: 'img', 'aria-label': label });
}
