// The upper half of the schedule map: what acts at each denoising step of one iteration, in lanes over one axis.

import { area, dot, hatch, ink, path, rect, stroke, text, through } from '../../lib/marks.js';

export const MANY = 20; // more steps than this merge into bars, with ticks every 5
const FULL = 0.3; // prompt noise that fills its lane; the dial ends here
const AXIS = 12; // baseline of the numbers of the steps
const WIDE = { top: 18, noise: 62, leash: 70, trained: 98, bottom: 122, cell: 22 };
const TIGHT = { top: 17, noise: 42, leash: 47, trained: 67, bottom: 85, cell: 17 };
/** Where the lanes stand in a map of height H. */
export const layout = (H) => (H < 220 ? TIGHT : WIDE);

/** Steps in a row as spans: [2, 3, 5] -> [[2, 4], [5, 6]]; the end is the step after the last. */
export function spans(steps) {
  const found = [];
  for (const i of steps) {
    if (found.length && found.at(-1)[1] === i) found.at(-1)[1] = i + 1;
    else found.push([i, i + 1]);
  }
  return found;
}

/** Cells of a lane: one a step, or one bar a span when there are many. */
export function cells(steps, T, W, y, height, style) {
  const c = W / T,
    gap = T > MANY ? 0.5 : 1;
  const parts = T > MANY ? spans(steps) : steps.map((i) => [i, i + 1]);
  return parts.map(([a, b]) => rect(a * c + gap, y, (b - a) * c - 2 * gap, height, { rx: Math.min(3, c / 3), ...style })).join('');
}

/** Steps of the leash that meet a trained step, and those that have nothing to hold. */
export function held({ leash, strength }, { trained }) {
  const first = Array.from({ length: leash }, (_, i) => i);
  return [first.filter((i) => strength > 0 && trained.includes(i)), first.filter((i) => !(strength > 0 && trained.includes(i)))];
}

/** Columns of the trained steps behind every lane, and a thin line at each step. */
function ground(at, T, W, trained) {
  const c = W / T,
    every = T > MANY ? 5 : 1;
  let s = spans(trained).map(([a, b]) => rect(a * c, at.top, (b - a) * c, at.bottom + 2 - at.top, { rx: 4, fill: ink('--ink'), 'fill-opacity': 0.06 })).join('');
  for (let i = 0; i <= T; i += every) s += stroke(`M${i * c} ${at.top}V${at.bottom + 2}`, '--line');
  for (let i = 0; i < T; i += every) s += text((i + 0.5) * c, AXIS, i, 'middle');
  return s;
}

/** Points of the prompt-noise curve, one in the middle of each step. */
function curve(at, { noise, scale }, T, W) {
  const c = W / T,
    full = Math.max(FULL, scale);
  return noise.map((v, i) => [(i + 0.5) * c, at.noise - (v / full) * (at.noise - at.top - 4)]);
}

function noiseLane(at, lane, T, W) {
  const y = at.noise;
  if (!lane.noise) return stroke(`M0 ${y}H${W}`, '--line-2') + text(W - 2, at.top + 11, 'no prompt noise', 'end');
  const points = curve(at, lane, T, W);
  const line = through([[0, points[0][1]], ...points, [W, points.at(-1)[1]]]);
  const style = lane.certain ? {} : { 'stroke-dasharray': '4 3' };
  return (
    area(`${line}L${W} ${y}L0 ${y}Z`, '--ink', { 'fill-opacity': 0.1 }) +
    stroke(line, '--ink', 1.75, { 'stroke-linejoin': 'round', ...style }) +
    text(W - 2, at.top + 11, lane.certain ? 'prompt noise' : 'prompt noise, about', 'end', 'm')
  );
}

function leashLane(at, lane, now, T, W) {
  const c = W / T;
  const [dark, pale] = held(lane, now);
  const style = (kind, opacity) => ({ fill: `url(#${at.id}-${kind})`, stroke: ink('--ink'), 'stroke-opacity': opacity });
  const s = cells(dark, T, W, at.leash, at.cell, style('held', 0.9)) + cells(pale, T, W, at.leash, at.cell, style('idle', 0.3));
  const name = lane.leash ? `leash to step ${lane.leash - 1}` : 'no leash';
  return s + (W - lane.leash * c > 86 ? text(W - 2, at.leash + at.cell / 2 + 4, name, 'end', lane.leash ? 'm' : null) : '');
}

function trainedLane(at, now, T, W) {
  const c = W / T,
    { trained, start } = now,
    y = at.trained;
  const only = now.stochastic.filter((i) => !trained.includes(i)); // noisy, but nothing is learned from them
  let s = cells(only, T, W, y + 0.5, at.cell - 1, { fill: 'none', stroke: ink('--line-2'), 'stroke-width': 1 });
  s += cells(trained, T, W, y, at.cell, { fill: ink('--ink') });
  const [left, right] = [trained[0] * c, W - (trained.at(-1) + 1) * c];
  const name = now.live ? 'start chosen live' : 'trained';
  if (right > 52 && !only.some((i) => i > trained.at(-1))) s += text(W - 2, y + at.cell / 2 + 4, name, 'end', 'm');
  else if (left > (now.live ? 110 : 52)) s += text(2, y + at.cell / 2 + 4, start > 0 && !now.live ? 'begins late' : name, 'start', 'm');
  if (start > 0 || now.live) {
    const x = trained[0] * c;
    s += stroke(`M${x} ${at.top}V${at.bottom + 4}`, '--ink', 1.6, now.live ? { 'stroke-dasharray': '3 2.5' } : {});
  }
  return s;
}

/**
 * Places where an edge can be taken: {name, x, y}, `name` as in dials. `grab` is a set of names that may move.
 * The fade has its ends in the middle of a step, the others between two steps.
 */
function edges(at, lane, now, T, W, grab) {
  const c = W / T,
    found = [];
  if (grab.has('leash')) found.push({ name: 'leash', x: lane.leash * c, y: at.leash + at.cell / 2 });
  if (grab.has('size') && now.trained.length === lane.size) found.push({ name: 'size', x: (now.trained.at(-1) + 1) * c, y: at.trained + at.cell / 2 });
  if (grab.has('fade') && lane.noise && lane.fade) {
    const [low, high] = lane.fade,
      top = curve(at, lane, T, W)[0][1];
    found.push({ name: 'low', x: Math.min(W, (low + 0.5) * c), y: top }, { name: 'high', x: Math.min(W, (high + 0.5) * c), y: at.noise });
  }
  return found;
}

function handle({ name, x, y }, { cell }) {
  const style = { fill: ink('--panel'), stroke: ink('--ink'), 'stroke-width': 1.4 };
  const round = name === 'low' || name === 'high',
    half = cell / 2 + 3;
  const mark = round ? dot(x, y, 4, style) : rect(x - 2.5, y - half, 5, 2 * half, { rx: 2.5, ...style });
  return mark + path(`M${x} ${y - half}V${y + half}`, { stroke: 'transparent', 'stroke-width': 16, 'data-edge': name });
}

/** All lanes of one iteration, W wide. at: the layout, with an `id` of this map's own: a pattern in a hidden screen fills nothing. */
export function steps(at, lane, now, T, W, grab) {
  return (
    hatch(`${at.id}-held`, 5, 2) +
    hatch(`${at.id}-idle`, 5, 1, 0.55) +
    ground(at, T, W, now.trained) +
    noiseLane(at, lane, T, W) +
    leashLane(at, lane, now, T, W) +
    trainedLane(at, now, T, W) +
    edges(at, lane, now, T, W, grab)
      .map((edge) => handle(edge, at))
      .join('')
  );
}
