// Is one look taking over: stacked shares over the iterations, the base model's shares as a hollow bar at the left, and a dotted
// forecast of the next 40 iterations at the right, with how far off its past ones were.

import { $, h, percent, say, svg } from '../lib/dom.js';
import { area, group, ink, rect, stroke, text, through, turned } from '../lib/marks.js';
import { state, on, get, viewed, newest, promptInfo, runPath } from '../lib/store.js';
import { redraw } from './live.js';
import { tableButton } from '../lib/table.js';
import { thin } from './scrubber.js';
import { marksOf } from './dials.js';
import { subject } from './shares/subject.js';

const L = 60,
  R = 82,
  T = 24,
  B = 22,
  AHEAD = 40, // iterations of the forecast
  ENOUGH = 5, // past forecasts after which one that did worse than "nothing changes" is called poor
  CLOSE = 26, // pixels between two numbers below the axis, at least
  SHORT = 20; // iterations that the axis has room for from the start

let ahead = null; // {iteration, shares, error, still, checked} of the viewed prompt, or null

export function shares(root) {
  root.append(
    h('div', { class: 'hd' }, h('h2', {}, 'Share of each look'), h('span', { class: 'sub' })),
    h('div', { class: 'plot' }),
  );
  const plot = $('.plot', root);
  const later = redraw(plot, 'rows view theme run info turns', () => {
    const of = subject();
    say($('.sub', root), of.words);
    $('.sub', root).title = of.title;
    draw(plot, of);
  });
  tableButton(root, table);
  let asked = '';
  const ask = async () => {
    const key = JSON.stringify([state.run, state.prompt, newest(), state.head?.epoch]);
    if (key === asked || state.screen !== 'live' || !state.run || !newest() || state.prompt === null) return;
    asked = key;
    const found = await get(runPath(`forecast?prompt=${state.prompt}`)).catch(() => null);
    if (key !== asked) return;
    ahead = found?.shares ? found : null;
    later();
  };
  on('run', () => {
    ahead = null;
    asked = '';
  });
  on('head view screen', ask);
}

function draw(plot, { layers, base, rows: known }) {
  const [W, H] = [plot.clientWidth, plot.clientHeight];
  const at = viewed();
  const rows = thin(state.replay ? known.filter((r) => r.iteration <= at) : known); // a lesson tells nothing before its time
  const future = !state.all && !state.replay && base.length && ahead?.shares[0].length === layers.length ? ahead : null;
  const last = Math.max(newest(), SHORT);
  const X = (t) => L + (t / (last + (state.replay || state.all ? 0 : AHEAD))) * (W - L - R);
  const Y = (s) => T + s * (H - T - B);
  let s = axis(W, H, X, Y) + baseBar(base, layers, Y) + bands(rows, layers, X, Y);
  if (future) s += forecast(future, layers, X, Y, W, H);
  if (rows.length) s += turns(X, state.replay ? at : last, H);
  const row = rows.findLast((r) => r.iteration <= at);
  if (row)
    s +=
      stroke(`M${X(at)} ${T}V${H - B}`, '--ink') +
      text(X(at), H - 7, at, 'middle', 's') +
      labels(row.shares, future ? future.shares.at(-1) : rows.at(-1).shares, layers, W, H, Y);
  const said = row ? layers.slice(0, -1).map(({ name }, k) => `${name} ${percent(row.shares[k] ?? 0)}`).join(', ') : 'no pictures yet';
  const then = future ? `. ${meaning(future)}` : '';
  plot.replaceChildren(svg(W, H, s, { role: 'img', 'aria-label': `Share of each look at iteration ${at}: ${said}${then}` }));
  if (base.length || !state.info || !(state.head?.newest >= 0)) return;
  const why = promptInfo()?.mapped === false ? 'Looks are not fixed for this prompt.' : 'Finding the looks of the base pictures.';
  plot.append(h('p', { class: 'hint' }, why));
}

function table() {
  const { layers, base, rows } = subject();
  return {
    head: ['Iteration', ...layers.slice(0, -1).map((l) => l.letter), 'New'],
    rows: [['base', ...base.map(percent), '–'], ...rows.map((r) => [r.iteration, ...r.shares.map(percent)])],
  };
}

/** The forecast in pale bands with dotted edges, from the newest iteration on. */
function forecast({ iteration, shares, error, still, checked }, layers, X, Y, W, H) {
  const name = checked >= ENOUGH && error > still ? 'poor forecast' : 'forecast';
  const sums = shares.map((row) => row.reduce((all, share) => [...all, all.at(-1) + share], [0]));
  const edge = (k) => sums.map((row, i) => [X(iteration + i), Y(row[k])]);
  let s = layers.map(({ fill }, k) => area(`${through([...edge(k), ...edge(k + 1).reverse()])}Z`, fill, { 'fill-opacity': 0.16 })).join('');
  for (let k = 1; k < layers.length; k++)
    s += stroke(through(edge(k)), '--text-2', 1.25, { 'stroke-dasharray': '1.5 3', 'stroke-linecap': 'round' });
  const [from, to] = [X(iteration), X(iteration + AHEAD)];
  s += rect(from, T, to - from, H - T - B, { fill: 'transparent' }) + text(Math.min(from + 9, W - 6.2 * name.length), T - 6, name, 'start', 'm'); // clear of a diamond at the newest
  return group({ class: 'forecast' }, s, meaning(ahead));
}

function meaning({ error, still, checked }) {
  const how = 'Forecast of the next 40 iterations, not measured: each look grows by its mean reward of the last 25 iterations, bonus included.';
  const points = (x) => (100 * x).toFixed(100 * x < 10 ? 1 : 0);
  if (!checked) return `${how} None of its past forecasts has come due yet.`;
  const many = checked === 1 ? 'One past forecast was' : `${checked} past forecasts were`;
  return `${how} ${many} off by ${points(error)} points a look on average; to say that nothing changes would have been off by ${points(still)}.`;
}

function axis(W, H, X, Y) {
  const scale = text(L - 22, Y(0) + 9, '100 %', 'end') + text(L - 22, Y(0.5) + 4, '50', 'end') + text(L - 22, Y(1), '0', 'end');
  const ends = text(L - 12.5, H - 7, 'base', 'middle') + (viewed() && X(viewed()) - X(0) < CLOSE ? '' : text(X(0) + 8, H - 7, '0'));
  const right = newest() && X(newest()) - X(0) > CLOSE && X(newest()) - X(viewed()) > CLOSE ? text(X(newest()), H - 7, newest(), 'middle') : '';
  return stroke(`M${L} ${T}H${W - R}M${L} ${Y(0.5)}H${W - R}M${L} ${H - B}H${W - R}`, '--line') + scale + ends + right;
}

function baseBar(base, layers, Y) {
  let s = '';
  let above = 0;
  base.forEach((share, k) => {
    const height = Math.max(1, Y(above + share) - Y(above) - 2);
    s += rect(L - 18, Y(above) + 1, 11, height, { rx: 1.5, fill: 'none', stroke: ink(layers[k].fill), 'stroke-width': 1.4 });
    above += share;
  });
  return s;
}

function bands(rows, layers, X, Y) {
  if (rows.length < 2) return '';
  const heights = rows.map((r) => layers.reduce((sums, _, k) => [...sums, sums[k] + (r.shares[k] ?? 0)], [0]));
  const edge = (k) => rows.map((r, i) => [X(r.iteration), Y(heights[i][k])]);
  const band = ({ fill, opacity }, k) => {
    const style = { 'fill-opacity': opacity, stroke: ink('--panel'), 'stroke-width': 1 };
    return area(`${through([...edge(k), ...edge(k + 1).reverse()])}Z`, fill, style);
  };
  return layers.map(band).join('');
}

/** Letters and numbers beside the bands that end at the right, pushed apart so that each can be read. */
function labels(shares, ends, layers, W, H, Y) {
  let sum = 0;
  const all = layers.map((layer, k) => {
    const end = ends[k] ?? 0;
    sum += end;
    return { ...layer, share: shares[k] ?? 0, y: Y(sum - end / 2) };
  });
  const rows = all.filter((r, k) => k < all.length - 1 || r.share >= 0.02);
  const gap = Math.min(18, (H - T - B) / rows.length);
  for (let i = 1; i < rows.length; i++) rows[i].y = Math.max(rows[i].y, rows[i - 1].y + gap);
  for (let i = rows.length - 1, low = H - B - 4; i >= 0; i--, low -= gap) rows[i].y = Math.min(rows[i].y, low);
  const label = ({ mark, letter, share, y }) => mark(W - R + 12, y) + text(W - R + 21, y + 4, letter, 'start', 's') + text(W - 12, y + 4, percent(share), 'end', 'm');
  return rows.map(label).join('');
}

/** Turned dials: a line and a diamond each, named as far as there is room. */
function turns(X, last, H) {
  let s = '';
  let free = 0;
  for (const { iteration, mark } of marksOf(state.head?.turns ?? []).filter((t) => t.iteration <= last)) {
    const x = X(iteration);
    const line = `M${x} ${T - 6}V${H - B}`;
    s += stroke(line, '--panel', 3, { opacity: 0.5 }) + stroke(line, '--ink', 1.25) + turned(x, T - 10, 4.4);
    const name = [mark, mark.split(', ')[0]].find((words) => x - 8 - words.length * 6.4 >= free);
    if (name) s += text(x - 8, T - 6, name, 'end', 'm');
    free = x + 6;
  }
  return s;
}
