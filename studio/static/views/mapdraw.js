// Ink on the map's canvas. Every glyph is drawn once and then stamped, so that 50,000 dots take a fraction of a second.

import { colour, glyphPath } from '../lib/dom.js';

const FADED = 0.18; // of a dot outside the selection
const stamps = new Map();

/** A small canvas with one glyph: shape (a look's number, 'ring' for the base), ink, outline and radius in device pixels. */
function stamp(shape, fill, outline, radius, line) {
  const key = `${shape} ${fill} ${outline} ${radius} ${line}`;
  let found = stamps.get(key);
  if (found) return found;
  const half = Math.ceil(radius * 1.35 + line + 1);
  found = Object.assign(document.createElement('canvas'), { width: 2 * half, height: 2 * half });
  const ctx = found.getContext('2d');
  const path = new Path2D(glyphPath(shape === 'ring' ? 0 : shape, half, half, radius));
  ctx.fillStyle = fill;
  ctx.strokeStyle = outline;
  ctx.lineWidth = line;
  if (fill) ctx.fill(path);
  if (outline) ctx.stroke(path);
  stamps.set(key, found);
  return found;
}

/** Colours by the name of their CSS variable, each looked up once. */
function inks() {
  const known = new Map();
  return (name) => {
    if (!name.startsWith('--')) return name;
    if (!known.has(name)) known.set(name, colour(name));
    return known.get(name);
  };
}

export function drawBase(ctx, frame, base, ratio, dots) {
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
  if (dots) {
    const ring = stamp('ring', '', colour('--base'), 2.6 * ratio, ratio);
    const half = ring.width / 2;
    ctx.save();
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.globalAlpha = 0.55;
    for (let i = 0; i < base.n; i++) {
      if (base.x[i] !== base.x[i]) continue;
      const [x, y] = frame.place(base.x[i], base.y[i]);
      ctx.drawImage(ring, Math.round(x * ratio) - half, Math.round(y * ratio) - half);
    }
    ctx.restore();
  }
  ctx.globalAlpha = 1;
}

/**
 * The trail [[dots, age]] as glyphs, oldest first. `paint`: {shape(dot), ink(dot), outline, alpha(age)};
 * `chosen`: ids that keep their strength while all others fade, or null.
 */
export function drawTrail(ctx, frame, trail, paint, ratio, chosen) {
  const ink = inks();
  const halo = ink(paint.outline ?? '--halo');
  ctx.save();
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  const rounds = chosen ? [(dot) => !chosen.has(dot.id), (dot) => chosen.has(dot.id)] : [() => true];
  rounds.forEach((suits, round) => {
    const faded = chosen && round === 0;
    for (const [group, age] of trail) {
      ctx.globalAlpha = faded ? FADED : paint.alpha(age);
      const radius = (age ? 4.2 : 5.2) * ratio;
      const rim = paint.outline || !age ? halo : '';
      for (const dot of group) {
        if (dot.x !== dot.x || !suits(dot)) continue;
        const [x, y] = frame.place(dot.x, dot.y);
        if (x < -9 || y < -9 || x > frame.width + 9 || y > frame.height + 9) continue;
        const mark = stamp(paint.shape(dot), ink(paint.ink(dot)), rim, radius, 1.1 * ratio);
        ctx.drawImage(mark, Math.round(x * ratio) - mark.width / 2, Math.round(y * ratio) - mark.height / 2);
      }
    }
  });
  ctx.restore();
}
