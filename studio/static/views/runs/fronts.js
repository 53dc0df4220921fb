// Reward against variety of 2 to 6 runs in one figure: base models hollow, a line at a reward that all are read at, a table.

import { $, glyph, glyphPath, h, lookColour, say, svg, ticks, fixed, percent } from '../../lib/dom.js';
import { dot, ink, path, stroke, text, through } from '../../lib/marks.js';
import { get, on } from '../../lib/store.js';
import { at } from './actions.js';
import { LOOKS, REWARD, apart, box, common, differ, fromBase, looksAt, stairs, unbeaten } from './matched.js';

const [L, R, T, B] = [44, 16, 12, 38];

export function fronts(root, chart) {
  const plot = h('div', { class: 'plot' });
  const level = h('input', { type: 'range', 'aria-label': 'Matched reward', disabled: true, oninput: () => chosen(Number(level.value)) });
  const reading = h('output', {});
  const table = h('div', { class: 'table', role: 'region', tabindex: 0, 'aria-label': 'Table of the ticked runs' });
  const note = h('p', { class: 'note', role: 'status' });
  root.append(
    h('div', { class: 'hd' }, h('h2', {}, 'Fronts'), h('span', { class: 'sub' }, 'up and right is better')),
    plot,
    h('label', { class: 'level' }, 'Matched reward', level, reading),
    note,
    table,
  );
  const known = new Map(); // name -> {key, front}
  let shown = [],
    reward = null;

  /** `ticked`: rows of the list, in the order they were ticked. */
  async function update(ticked) {
    await Promise.all(
      ticked.map(async (row) => {
        const key = JSON.stringify([row.iteration, row.base, row.path.length, row.path[row.path.length - 1]]);
        if (known.get(row.name)?.key === key) return;
        const front = await get(at(row.name, 'front')).catch(() => null);
        if (front) known.set(row.name, { key, front });
      }),
    );
    const now = ticked.filter((row) => chart.ticked(row.name) && known.has(row.name)).map((row) => known.get(row.name).front);
    if (now.length === shown.length && now.every((front, i) => front === shown[i])) return;
    if (now.map((f) => f.name).join() !== shown.map((f) => f.name).join()) reward = null;
    shown = now;
    draw();
  }

  function chosen(value) {
    reward = value;
    draw();
  }

  function draw() {
    const most = shown.length ? common(shown) : 0,
      line = reward === null ? most : Math.min(reward, most);
    level.disabled = !shown.length || most <= 0;
    Object.assign(level, { min: 0, max: Math.max(most, 0.01), step: Math.max(most, 0.01) / 200 });
    level.value = line;
    level.style.setProperty('--p', `${most > 0 ? (100 * line) / most : 0}%`);
    level.setAttribute('aria-valuetext', `reward ${fixed(line)}`);
    say(reading, shown.length ? fixed(line) : '–');
    drawFigure(plot, shown, line);
    drawTable(table, shown, line);
    const other = shown.length ? differ(shown) : [];
    const words =
      shown.length === 0
        ? 'Tick 2 to 6 runs to see which keeps more variety at the same reward.'
        : other.length
          ? `They differ in ${list(other)}, so their axes are not quite the same.`
          : shown.length === 1
            ? 'Tick another run to compare.'
            : `The rings show the most variety that each run kept at this reward or more. ${fixed(most)} is the highest that all reach.`;
    say(note, words);
    note.classList.toggle('warned', other.length > 0);
  }

  new ResizeObserver(() => plot.clientWidth && draw()).observe(plot);
  on('theme', draw);
  return { update };
}

const list = (words) => (words.length > 1 ? `${words.slice(0, -1).join(', ')} and ${words[words.length - 1]}` : words[0]);
const xy = (p) => [p[LOOKS], p[REWARD]];

function drawFigure(plot, runs, line) {
  const [W, H] = [plot.clientWidth, plot.clientHeight];
  if (!W || !H) return;
  const range = rounded(runs.length ? box(runs.flatMap((r) => fromBase(r).map(xy))) : { x0: 1, x1: 8, y0: 0, y1: 1 });
  const X = (v) => L + ((v - range.x0) / (range.x1 - range.x0)) * (W - L - R);
  const Y = (v) => H - B - ((v - range.y0) / (range.y1 - range.y0)) * (H - T - B);
  let s = axes(range, X, Y, W, H, runs.length > 0);
  if (runs.length) s += stroke(`M${L} ${Y(line)}H${W - R}`, '--ink', 1, { 'stroke-dasharray': '1 3' }) + levelName(runs, X, Y, line, W);
  runs.forEach((run, i) => {
    s += track(run, i, X, Y);
  });
  runs.forEach((run, i) => {
    const looks = looksAt(run.points, line);
    if (looks !== null) s += dot(X(looks), Y(line), 5, { fill: ink('--panel'), stroke: ink(lookColour(i)), 'stroke-width': 2 });
  });
  s += bases(runs, X, Y) + names(runs, X, Y, W, H);
  plot.replaceChildren(svg(W, H, s, { role: 'img', 'aria-label': words(runs, line) }));
}

/** The name of the line, at the end of it where fewer dots are. */
function levelName(runs, X, Y, line, W) {
  const dots = runs.flatMap((r) => fromBase(r).map((p) => [X(p[LOOKS]), Y(p[REWARD])]));
  const crowd = (from) => dots.filter(([x, y]) => x > from && x < from + 100 && y > Y(line) - 24 && y < Y(line) + 6).length;
  const right = crowd(W - R - 100) <= crowd(L);
  return text(right ? W - R : L + 4, Y(line) - 5, 'matched reward', right ? 'end' : 'start', 'm', HALO);
}

/** The whole path of a run pale; the iterations that no other one beats dark, with the edge they make; the last one as a glyph. */
function track(run, i, X, Y) {
  const place = (p) => [X(p[LOOKS]), Y(p[REWARD])],
    colour = lookColour(i);
  let s = stroke(through(fromBase(run).map(place)), colour, 1.2, { 'stroke-opacity': 0.32, 'stroke-linejoin': 'round' });
  s += stroke(through(stairs(run.points).map(place)), colour, 1.6, { 'stroke-linejoin': 'round' });
  for (const p of unbeaten(run.points)) s += dot(...place(p), 1.9, { fill: ink(colour) });
  const [x, y] = place(run.points[run.points.length - 1]);
  return s + path(glyphPath(i, x, y, 5.5), { fill: ink(colour), stroke: ink('--panel'), 'stroke-width': 1.5 });
}

/** Base models: hollow. Equal ones, as of runs on the same setting, are one mark. */
function bases(runs, X, Y) {
  const seen = [];
  for (const { base } of runs) {
    if (!base) continue;
    const [x, y] = [X(base[0]), Y(base[1])];
    if (!seen.some(([a, b]) => Math.hypot(a - x, b - y) < 8)) seen.push([x, y]);
  }
  const marks = seen.map(([x, y]) => dot(x, y, 6, { fill: ink('--panel'), stroke: ink('--base'), 'stroke-width': 1.6 }) + dot(x, y, 2, { fill: ink('--base') }));
  const label = seen.length ? text(seen[0][0] - 10, seen[0][1] + 15, seen.length > 1 ? 'base models' : 'base model', 'end', 'm') : '';
  return marks.join('') + label;
}

function names(runs, X, Y, W, H) {
  const ends = runs.map((r) => r.points[r.points.length - 1]);
  const heights = apart(
    ends.map((p) => Y(p[REWARD]) - 8),
    14,
    T + 10,
    H - B - 4,
  );
  return runs
    .map((run, i) => {
      const x = X(ends[i][LOOKS]),
        left = x > W - R - 110;
      return text(x + (left ? -9 : 9), heights[i], short(run.name), left ? 'end' : 'start', 's', HALO);
    })
    .join('');
}
const HALO = { 'paint-order': 'stroke', stroke: ink('--panel'), 'stroke-width': 3, 'stroke-linejoin': 'round' };
const short = (name) => (name.length > 22 ? `${name.slice(0, 20)}…` : name);

function rounded({ x0, x1, y0, y1 }) {
  const round = (low, high, few) => {
    const { step } = ticks(low, high, few);
    return [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step];
  };
  const [a, b] = round(x0, x1, 6),
    [c, d] = round(y0, y1, 5);
  return { x0: a, x1: b, y0: c, y1: d };
}

function axes(range, X, Y, W, H, known) {
  const [across, up] = [ticks(range.x0, range.x1, 6), ticks(range.y0, range.y1, 5)];
  const number = (v, digits) => (known ? fixed(v, digits) : '');
  let s = '';
  for (const v of across.values) s += stroke(`M${X(v)} ${T}V${H - B}`, '--line') + text(X(v), H - B + 15, number(v, across.digits), 'middle');
  for (const v of up.values) s += stroke(`M${L} ${Y(v)}H${W - R}`, '--line') + text(L - 7, Y(v) + 4, number(v, up.digits), 'end');
  const turn = { transform: `translate(12 ${(T + H - B) / 2}) rotate(-90)` };
  return s + text((L + W - R) / 2, H - 6, 'variety', 'middle', 'm') + text(null, null, 'mean reward', 'middle', 'm', turn);
}

function words(runs, line) {
  if (!runs.length) return 'Reward against variety, no run is ticked';
  const read = runs.map((r) => {
    const looks = looksAt(r.points, line);
    return `${r.name} ${looks === null ? 'never reaches it' : `with variety ${fixed(looks, 1)}`}`;
  });
  return `Reward against variety. At reward ${fixed(line)}: ${read.join(', ')}`;
}

function drawTable(place, runs, line) {
  const row = (run, i) => {
    const end = run.points[run.points.length - 1],
      looks = looksAt(run.points, line);
    const best = Math.max(...run.points.map((p) => p[REWARD]));
    const kept = looks === null || !run.base ? '–' : percent(looks / run.base[0]);
    return h(
      'tr',
      {},
      h('th', { scope: 'row', title: run.preset.title }, h('span', {}, glyph(i, 11), h('span', {}, run.name))),
      [looks === null ? '–' : fixed(looks, 1), kept, fixed(end[LOOKS], 1), fixed(end[REWARD]), fixed(best)].map((v) => h('td', {}, v)),
    );
  };
  const heads = ['Run', `Variety at ${fixed(line)}`, 'of base', 'Last variety', 'Last reward', 'Best reward'];
  place.replaceChildren(
    ...(runs.length
      ? [
          h(
            'table',
            {},
            h('thead', {}, h('tr', {}, ...heads.map((w) => h('th', { scope: 'col' }, w)))),
            h('tbody', {}, ...runs.map(row)),
          ),
        ]
      : []),
  );
}
