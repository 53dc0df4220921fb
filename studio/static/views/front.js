// Is it better, or only narrower: one dot per iteration, reward against variety, base at the crossing of the guides.

import { $, h, svg, diamond, ticks, fixed } from '../lib/dom.js';
import { state, on, viewed, following, rowAt } from '../lib/store.js';
import { redraw } from './live.js';
import { tableButton } from '../lib/table.js';
import { thin } from './scrubber.js';
import { turnMark } from './dials.js';

const L = 46,
  R = 16,
  T = 10,
  B = 38;

export function front(root) {
  root.append(
    h('div', { class: 'hd' }, h('h2', {}, 'Reward against variety'), h('span', { class: 'sub' }, 'up and right is better')),
    h('div', { class: 'plot' }),
  );
  const plot = $('.plot', root);
  let range = null;
  on('run', () => {
    range = null;
  });
  redraw(plot, 'rows view theme run turns', () => {
    range = draw(plot, range);
  });
  tableButton(root, () => ({
    head: ['Iteration', 'Reward', 'Looks', 'Verdict'],
    rows: state.rows.map((r) => [r.iteration || 'base', fixed(r.reward_mean), fixed(r.variety), r.iteration ? r.verdict : '']),
  }));
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
  const W = plot.clientWidth,
    H = plot.clientHeight,
    all = state.rows.filter((r) => r.iteration > 0),
    first = state.rows[0];
  const base = first && first.iteration === 0 ? { x: first.variety, y: first.reward } : { x: 0, y: 0 };
  const range = grow(before, all, base),
    X = (v) => L + ((v - range.x0) / (range.x1 - range.x0)) * (W - L - R),
    Y = (v) => H - B - ((v - range.y0) / (range.y1 - range.y0)) * (H - T - B);
  let s = '';
  const xt = ticks(range.x0, range.x1, 6),
    yt = ticks(range.y0, range.y1, 5);
  const known = all.length || base.x; // numbers only once there is something to read
  for (const v of xt.values)
    s += `<path d="M${X(v)} ${T}V${H - B}" stroke="var(--line)"/><text x="${X(v)}" y="${H - B + 15}" text-anchor="middle">${known ? fixed(v, xt.digits) : ''}</text>`;
  for (const v of yt.values)
    s += `<path d="M${L} ${Y(v)}H${W - R}" stroke="var(--line)"/><text x="${L - 7}" y="${Y(v) + 4}" text-anchor="end">${known ? fixed(v, yt.digits) : ''}</text>`;
  s += `<text x="${(L + W - R) / 2}" y="${H - 6}" text-anchor="middle" class="m">effective number of looks</text><text transform="translate(13 ${(T + H - B) / 2}) rotate(-90)" text-anchor="middle" class="m">mean reward</text>`;
  if (base.x) s += `<path d="M${X(base.x)} ${T}V${H - B}M${L} ${Y(base.y)}H${W - R}" stroke="var(--base)" stroke-dasharray="3 3.5"/>`;
  const past = thin(all.filter((r) => r.iteration <= viewed())),
    place = (r) => [X(r.variety), Y(r.reward_mean)],
    text = (p) => `${p[0].toFixed(1)} ${p[1].toFixed(1)}`;
  if (past.length) {
    s += `<path d="M${base.x ? `${text([X(base.x), Y(base.y)])}L` : ''}${past.map((r) => text(place(r))).join('L')}" fill="none" stroke="var(--ink)" stroke-opacity=".2" stroke-width="1.25"/>`;
    past.forEach((r, i) => {
      const [x, y] = place(r);
      s += `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="2.3" fill="var(--ink)" fill-opacity="${(0.16 + 0.84 * ((i + 1) / past.length) ** 1.3).toFixed(2)}"/>`;
    });
    s += arrows(past.map(place)) + turns(place);
    const [x, y] = place(past[past.length - 1]),
      side = x > W - R - 50 ? ['end', -9] : ['start', 9];
    s += `<circle cx="${x}" cy="${y}" r="5.5" fill="var(--ink)" stroke="var(--panel)" stroke-width="1.5"/><text x="${x + side[1]}" y="${y < T + 16 ? y + 16 : y - 7}" text-anchor="${side[0]}" class="s">${following() ? 'now' : past[past.length - 1].iteration}</text>`;
  }
  if (base.x) {
    const [x, y] = [X(base.x), Y(base.y)];
    s += `<circle cx="${x}" cy="${y}" r="6" fill="var(--panel)" stroke="var(--base)" stroke-width="1.6"/><circle cx="${x}" cy="${y}" r="2" fill="var(--base)"/><text x="${x < L + 80 ? x + 10 : x - 10}" y="${y + 16 > H - B ? y - 9 : y + 15}" text-anchor="${x < L + 80 ? 'start' : 'end'}" class="m">base model</text>`;
  }
  const now = past[past.length - 1];
  plot.replaceChildren(
    svg(W, H, s, {
      role: 'img',
      'aria-label': now
        ? `At iteration ${now.iteration} reward ${fixed(now.reward_mean)} with ${fixed(now.variety, 1)} effective looks; base model ${fixed(base.y)} with ${fixed(base.x, 1)}`
        : 'Reward against variety, no iterations yet',
    }),
  );
  return known ? range : null;
}

/** Arrows of time at four places of the path. */
function arrows(points) {
  let s = '';
  for (const share of [0.2, 0.4, 0.6, 0.8]) {
    const i = Math.round(share * (points.length - 1)),
      a = points[Math.max(0, i - 4)],
      b = points[Math.min(points.length - 1, i + 4)];
    if (points.length < 24 || Math.hypot(b[0] - a[0], b[1] - a[1]) < 8) continue;
    s += `<path transform="translate(${points[i].join(' ')}) rotate(${Math.atan2(b[1] - a[1], b[0] - a[0]) * 57.2958})" d="M-5 -5L5.5 0L-5 5Z" fill="var(--ink)" stroke="var(--panel)" stroke-width="1.5"/>`;
  }
  return s;
}

function turns(place) {
  let s = '';
  for (const turn of state.head?.turns ?? []) {
    const row = rowAt(turn.iteration);
    if (turn.iteration > viewed() || !row || row.iteration === 0) continue;
    const [x, y] = place(row);
    s += `<path d="${diamond(x, y, 5)}" fill="var(--panel)" stroke="var(--ink)" stroke-width="1.5"/><text x="${x < L + 70 ? x + 9 : x - 9}" y="${y + 14}" text-anchor="${x < L + 70 ? 'start' : 'end'}" class="m">${turnMark(turn)}</text>`;
  }
  return s;
}
