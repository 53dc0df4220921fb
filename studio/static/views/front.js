// Is it better, or only narrower: one dot per iteration, reward against variety, base at the crossing of the guides; a second run dotted.

import { $, h, svg, ticks, fixed } from '../lib/dom.js';
import { dot, ink, stroke, text, through, turned, xy } from '../lib/marks.js';
import { state, on, viewed, following, rowAt } from '../lib/store.js';
import { second, secondPicker } from './front/second.js';
import { redraw } from './live.js';
import { tableButton } from '../lib/table.js';
import { thin } from './scrubber.js';
import { marksOf } from './dials.js';

const L = 46,
  R = 16,
  T = 10,
  B = 38;

export function front(root) {
  root.append(
    h('div', { class: 'hd' }, h('h2', { title: 'Up and right is better. Each dot is the mean of an iteration and those just before it.' }, 'Reward against variety')),
    h('div', { class: 'plot' }),
  );
  const plot = $('.plot', root);
  let range = null;
  on('run', () => {
    range = null;
  });
  const later = redraw(plot, 'rows view theme run turns', () => {
    range = draw(plot, range);
  });
  tableButton(root, () => ({
    head: ['Iteration', 'Reward', 'Variety', 'Verdict'],
    rows: state.rows.map((r) => [r.iteration || 'base', fixed(r.reward_mean), fixed(r.variety), r.iteration ? r.verdict : '']),
  }));
  $('.hd .r', root).prepend(secondPicker(later));
}

/** Axes only grow, in round steps, so that dots never move while one looks. */
function grow(range, rows, base) {
  const xs = rows.map((r) => r.variety),
    ys = rows.map((r) => r.reward_mean);
  const need = {
    x0: Math.min(1, ...xs),
    x1: Math.max(base.x + 0.3, 2, ...xs),
    y0: Math.min(-0.25, base.y, ...ys),
    y1: Math.max(1, base.y, ...ys),
  };
  const inside = range && need.x0 >= range.x0 && need.x1 <= range.x1 && need.y0 >= range.y0 && need.y1 <= range.y1;
  if (inside) return range;
  const round = (low, high, few) => {
    const { step } = ticks(low, high, few);
    return [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step];
  };
  const [x0, x1] = round(need.x0, need.x1, 6),
    [y0, y1] = round(need.y0, need.y1, 5);
  return {
    x0: Math.min(x0, range?.x0 ?? x0),
    x1: Math.max(x1, range?.x1 ?? x1),
    y0: Math.min(y0, range?.y0 ?? y0),
    y1: Math.max(y1, range?.y1 ?? y1),
  };
}

function draw(plot, before) {
  const [W, H] = [plot.clientWidth, plot.clientHeight];
  const all = state.rows.filter((r) => r.iteration > 0);
  const first = state.rows[0];
  const base = first && first.iteration === 0 ? { x: first.variety, y: first.reward } : { x: 0, y: 0 };
  const other = thin((second?.rows ?? []).filter((r) => r.iteration > 0));
  const range = grow(before, [...all, ...other], base);
  const X = (v) => L + ((v - range.x0) / (range.x1 - range.x0)) * (W - L - R);
  const Y = (v) => H - B - ((v - range.y0) / (range.y1 - range.y0)) * (H - T - B);
  const known = Boolean(all.length || base.x); // numbers only once there is something to read
  const past = thin(all.filter((r) => r.iteration <= viewed()));
  const place = (r) => [X(r.variety), Y(r.reward_mean)];
  let s = axes(range, X, Y, W, H, known);
  if (base.x) s += stroke(`M${X(base.x)} ${T}V${H - B}M${L} ${Y(base.y)}H${W - R}`, '--base', 1, { 'stroke-dasharray': '3 3.5' });
  const taken = past.length ? marks(past, place) : [];
  if (other.length > 1) s += beyond(other.map(place), second.label, W, [...taken, [X(base.x), Y(base.y)]]);
  if (past.length) s += walk(past, place, base.x ? [[X(base.x), Y(base.y)]] : [], W);
  if (base.x) {
    const [x, y] = [X(base.x), Y(base.y)];
    s += dot(x, y, 6, { fill: ink('--panel'), stroke: ink('--base'), 'stroke-width': 1.6 }) + dot(x, y, 2, { fill: ink('--base') });
    s += beside(x, y + 16 > H - B ? y - 9 : y + 15, 'base model', 10);
  }
  s += text(W - R - 4, T + 14, '↗ better', 'end', 'm') + key(W, H);
  plot.replaceChildren(svg(W, H, s, { role: 'img', 'aria-label': words(past[past.length - 1], base) }));
  return known ? range : null;
}

function words(now, base) {
  if (!now) return 'Reward against variety, no iterations yet';
  const here = `At iteration ${now.iteration} reward ${fixed(now.reward_mean)} with variety ${fixed(now.variety, 1)}`;
  return `${here}; base model ${fixed(base.y)} with variety ${fixed(base.x, 1)}`;
}

/** Words to the left of a mark, or to its right at the left edge. */
const beside = (x, y, said, gap) => (x < L + 80 ? text(x + gap, y, said, 'start', 'm') : text(x - gap, y, said, 'end', 'm'));

function axes(range, X, Y, W, H, known) {
  const [across, up] = [ticks(range.x0, range.x1, 6), ticks(range.y0, range.y1, 5)];
  const number = (v, digits) => (known ? fixed(v, digits) : '');
  let s = '';
  for (const v of across.values)
    s += stroke(`M${X(v)} ${T}V${H - B}`, '--line') + text(X(v), H - B + 15, number(v, across.digits), 'middle');
  for (const v of up.values) s += stroke(`M${L} ${Y(v)}H${W - R}`, '--line') + text(L - 7, Y(v) + 4, number(v, up.digits), 'end');
  const turn = { transform: `translate(13 ${(T + H - B) / 2}) rotate(-90)` };
  const titles = text((L + W - R) / 2, H - 6, 'variety', 'middle', 'm') + text(null, null, 'mean reward', 'middle', 'm', turn);
  return s + titles;
}

/** Where the run's own path carries words: its newest dot and its turned dials. */
function marks(past, place) {
  const turns = (state.head?.turns ?? []).map((turn) => rowAt(turn.iteration)).filter((row) => row?.iteration > 0);
  return [past.at(-1), ...turns].map(place);
}

/** The path of the second run, dotted, with its name where no other words stand. */
function beyond(points, label, W, taken) {
  const said = label.length > 34 ? `${label.slice(0, 33)}…` : label;
  const wide = said.length * 6.2;
  const room = ([x, y], left) => {
    const [from, to] = left ? [x - 7 - wide, x - 7] : [x + 7, x + 7 + wide];
    const off = Math.max(0, L - from) + Math.max(0, to - (W - R)); // outside the plot is worst
    return 4 * off + taken.filter(([u, v]) => u > from - 60 && u < to + 60 && Math.abs(v - y) < 24).length * 50;
  };
  const choices = [points.at(-1), points[Math.round(points.length / 2)], points[0]].flatMap((p) => [
    { p, left: true },
    { p, left: false },
  ]);
  const { p, left } = choices.reduce((best, one) => (room(one.p, one.left) < room(best.p, best.left) ? one : best));
  const [x, y] = points.at(-1);
  const line = stroke(through(points), '--text-3', 1.6, { 'stroke-dasharray': '0.1 4', 'stroke-linecap': 'round' });
  const end = dot(x, y, 3, { fill: ink('--panel'), stroke: ink('--text-3'), 'stroke-width': 1.4 });
  return line + end + text(p[0] + (left ? -7 : 7), p[1] + 4, said, left ? 'end' : 'start', 'm');
}

/** The path of the run: one dot per iteration, pale to dark, with arrows of time and turned dials. */
function walk(past, place, start, W) {
  const points = past.map(place);
  let s = stroke(through([...start, ...points]), '--ink', 1.25, { 'stroke-opacity': 0.2 });
  points.forEach(([x, y], i) => {
    s += dot(x, y, 2.3, { fill: ink('--ink'), 'fill-opacity': 0.16 + 0.84 * ((i + 1) / points.length) ** 1.3 });
  });
  s += arrows(points) + turns(place);
  const [x, y] = points[points.length - 1];
  const from = points[Math.max(0, points.length - 6)][0]; // the name stands on the side where the path does not come from
  const [anchor, gap] = x > W - R - 50 || (from > x && x > L + 50) ? ['end', -9] : ['start', 9];
  const name = following() ? 'now' : past[past.length - 1].iteration;
  s += dot(x, y, 5.5, { fill: ink('--ink'), stroke: ink('--panel'), 'stroke-width': 1.5 });
  return s + text(x + gap, y < T + 16 ? y + 16 : y - 7, name, anchor, 's');
}

/** Which way time goes: an open arrow head, since a filled triangle would be look C. */
function arrow(place) {
  const style = { 'stroke-linecap': 'round', 'stroke-linejoin': 'round', ...place };
  return stroke('M-3 -4L2 0L-3 4', '--panel', 4.5, style) + stroke('M-3 -4L2 0L-3 4', '--ink', 1.6, style);
}

/** What pale, dark and the arrow heads mean. */
function key(W, H) {
  const words = 'first to last';
  const x = W - R - 4.8 * words.length - 44;
  const dots = [0.2, 0.5, 1].map((shade, i) => dot(x + [0, 10, 32][i], H - 10, 2.3, { fill: ink('--ink'), 'fill-opacity': shade }));
  return dots.join('') + arrow({ transform: `translate(${x + 22} ${H - 10})` }) + text(W - R, H - 6, words, 'end', 'm');
}

function arrows(points) {
  let s = '';
  for (const share of [0.2, 0.4, 0.6, 0.8]) {
    const i = Math.round(share * (points.length - 1));
    const [a, b] = [points[Math.max(0, i - 4)], points[Math.min(points.length - 1, i + 4)]];
    if (points.length < 24 || Math.hypot(b[0] - a[0], b[1] - a[1]) < 14) continue;
    const angle = (Math.atan2(b[1] - a[1], b[0] - a[0]) * 180) / Math.PI;
    s += arrow({ transform: `translate(${xy(points[i])}) rotate(${angle.toFixed(1)})` });
  }
  return s;
}

function turns(place) {
  let s = '';
  const named = [];
  for (const turn of marksOf(state.head?.turns ?? []).reverse()) {
    const row = rowAt(turn.iteration);
    if (turn.iteration > viewed() || !row || row.iteration === 0) continue;
    const [x, y] = place(row);
    s += turned(x, y, 5);
    const wide = turn.mark.length * 6.4 + 9;
    const [from, to] = x < L + 80 ? [x, x + wide] : [x - wide, x];
    if (named.some((n) => from < n.to && to > n.from && Math.abs(y - n.y) < 14)) continue; // the newest is named where two would be one over the other
    named.push({ from, to, y });
    s += beside(x, y + 14, turn.mark, 9);
  }
  return s;
}
