// The lower half of the schedule map: the window over the run, steps across and iterations down.

import { ink, rect, stroke, text, turned } from '../../lib/marks.js';
import { spans, MANY } from './steps.js';

const DONE = 0.28,
  NOW = 0.85,
  LATER = 0.1,
  STRIP = 7; // pixels of the viewed iteration in a row that stands long

/**
 * rows as the server gives them; at: the iteration whose row is black; newest: the last that is done; turns: iterations in
 * which a dial was turned. Marks between y and y + H.
 */
export function overRun({ rows, iterations, steps: T }, { at, newest, turns }, W, y, H) {
  const c = W / T,
    place = (n) => y + ((n - 1) / iterations) * H;
  let s = '';
  for (let i = 0; i <= T; i += T > MANY ? 5 : 1) s += stroke(`M${i * c} ${y}V${y + H}`, '--line');
  for (const row of rows) for (const [from, end, tone] of parts(row, at, newest, iterations, H)) s += drawn(row, place(from), place(end), tone, c, T);
  for (const n of turns) if (n > 1 && n <= iterations) s += turned(W + 7, place(n), 3.4);
  return s + line(at, iterations, W, y, H, place);
}

/** A row in parts [first, after the last, tone]: a low one is done, current or to come; a high one is split at the viewed iteration. */
function parts({ from, to }, at, newest, iterations, H) {
  const end = to + 1;
  if (at < from || at > to) return to <= newest ? [[from, end, DONE]] : newest < from ? [[from, end, LATER]] : [[from, newest + 1, DONE], [newest + 1, end, LATER]];
  const reach = (STRIP / H) * iterations; // iterations
  if (end - from <= 4 * reach) return [[from, end, NOW]];
  const low = Math.max(from, Math.min(at + 0.5 - reach / 2, end - reach)),
    high = low + reach,
    done = newest > at ? Math.min(end, newest + 1) : high;
  return [[from, low, DONE], [low, high, NOW], [high, done, DONE], [done, end, LATER]].filter(([a, b]) => b > a);
}

function drawn(row, top, bottom, tone, c, T) {
  const height = bottom - top,
    gap = height > 4 ? 1 : height > 2 ? 0.35 : 0,
    inner = Math.max(0.6, height - 2 * gap);
  const style = (opacity) => ({ rx: Math.min(2.5, height / 3), fill: ink('--ink'), 'fill-opacity': opacity });
  const bar = (a, b, opacity) => rect(a * c + 1, top + gap, (b - a) * c - 2, inner, style(opacity));
  if (!row.known) return unknown(c, T, top + gap, inner);
  if (row.share) return shares(row.share).map(([a, b, share]) => bar(a, b, +(tone * share).toFixed(3))).join('');
  return spans(row.trained).map(([a, b]) => bar(a, b, tone)).join('');
}

/** Where HRF-D has not chosen yet: any of the steps may be trained. */
const unknown = (c, T, y, height) =>
  rect(1, y + 0.5, (T - 1) * c - 2, Math.max(0.6, height - 1), {
    rx: Math.min(2.5, height / 3),
    fill: 'none',
    stroke: ink('--text-3'),
    'stroke-width': 1,
    'stroke-dasharray': '3 3',
  });

/** Steps next to each other with an equal share, as [first, after the last, share]. */
function shares(share) {
  const found = [];
  share.forEach((v, i) => {
    if (v === 0) return;
    if (found.length && found.at(-1)[1] === i && found.at(-1)[2] === v) found.at(-1)[1] = i + 1;
    else found.push([i, i + 1, v]);
  });
  return found;
}

/** The viewed iteration on the axis at the right. */
function line(at, iterations, W, y, H, place) {
  const middle = Math.min(y + H, (place(at) + place(at + 1)) / 2),
    width = 13 + 7 * String(at).length;
  return (
    stroke(`M0 ${middle}H${W}`, '--ink', 1.25) +
    rect(W - width, middle - 8, width, 16, { rx: 4, fill: ink('--ink') }) +
    text(W - width / 2, middle + 4, at, 'middle', 'on') +
    (middle > y + 14 ? text(W, y - 6, 1, 'end') : '') +
    (middle < y + H - 6 ? text(W, y + H + 12, iterations, 'end') : '')
  );
}
