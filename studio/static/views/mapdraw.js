// Ink on the map's canvas, and its legend.

import { clamp, colour, glyphPath, h, lookColour, NEW, NONE, svg } from '../lib/dom.js';

const SHADES = 9; // of the one hue that shows reward

export function drawBase(ctx, frame, base, dots) {
  ctx.strokeStyle = colour('--base');
  ctx.fillStyle = colour('--base-fill');
  ctx.lineWidth = 1;
  ctx.setLineDash([3, 3.5]);
  ctx.globalAlpha = 0.8;
  for (const { line } of frame.hulls) {
    const path = new Path2D(`M${line.map((p) => p.join(' ')).join('L')}Z`);
    ctx.fill(path);
    ctx.stroke(path);
  }
  ctx.setLineDash([]);
  ctx.globalAlpha = 0.5;
  if (dots) {
    ctx.beginPath();
    for (let i = 0; i < base.n; i++) {
      if (base.x[i] !== base.x[i]) continue;
      const [x, y] = frame.place(base.x[i], base.y[i]);
      ctx.moveTo(x + 2.6, y);
      ctx.arc(x, y, 2.6, 0, 6.2832);
    }
    ctx.stroke();
  }
  ctx.globalAlpha = 1;
}

/** The newest iterations as glyphs. Dots of the same ink and age go into one path: thousands of them take milliseconds. */
export function drawTrail(ctx, frame, trail, by) {
  const rewards = trail.flatMap(([group]) => group.map((dot) => dot.reward)).filter((r) => r === r);
  const low = Math.min(...rewards);
  const high = Math.max(...rewards);
  const key = {
    look: (dot) => dot.look,
    iteration: () => 0,
    reward: (dot) => Math.round(SHADES * clamp((dot.reward - low) / (high - low || 1), 0, 1)),
  }[by];
  const ink = (k) => (by !== 'look' ? '--ink' : k === NONE ? '--base' : lookColour(k));
  for (const [group, age] of trail) {
    const paths = new Map();
    for (const dot of group) {
      if (dot.x !== dot.x) continue;
      const [x, y] = frame.place(dot.x, dot.y);
      const k = key(dot);
      paths.set(k, (paths.get(k) || '') + glyphPath(dot.look === NONE ? 0 : dot.look, x, y, age ? 4.2 : 5.2));
    }
    for (const [k, marks] of paths) {
      const path = new Path2D(marks);
      ctx.fillStyle = colour(ink(k));
      ctx.globalAlpha = by === 'reward' ? 0.12 + (0.88 * k) / SHADES : age ? 0.66 - 0.05 * age : 1;
      ctx.fill(path);
      if (age) continue;
      ctx.globalAlpha = 1;
      ctx.lineWidth = 1.1;
      ctx.strokeStyle = colour('--halo');
      ctx.stroke(path);
    }
  }
  ctx.globalAlpha = 1;
}

export function drawRing(ctx, frame, dot) {
  ctx.beginPath();
  ctx.arc(...frame.place(dot.x, dot.y), 9.5, 0, 7);
  ctx.lineWidth = 1.75;
  ctx.strokeStyle = colour('--ink');
  ctx.stroke();
}

export function legend() {
  const mark = (width, marks) => svg(width, 12, marks, { 'aria-hidden': 'true' });
  const hollow = mark(12, '<circle cx="6" cy="6" r="3.5" fill="none" stroke="var(--base)" stroke-width="1.2"/>');
  const old = `<path d="${glyphPath(0, 5, 6, 3.4)}" fill="var(--text-2)" opacity=".35"/>`;
  const pair = mark(26, `${old}<path d="${glyphPath(0, 18, 6, 4.6)}" fill="var(--text-2)"/>`);
  const star = mark(12, `<path d="${glyphPath(NEW, 6, 6, 4)}" fill="var(--ink)"/>`);
  return h(
    'div',
    { class: 'legend' },
    h('span', {}, hollow, h('span', { class: 'much' }, 'base model, never moves')),
    h('span', {}, pair, 'this run, last 8 iterations, newest strongest'),
    h('span', { class: 'wide' }, star, 'a new look'),
  );
}
