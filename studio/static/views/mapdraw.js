// Ink on the map's canvas. Every glyph is drawn once and then copied pixel by pixel, many times faster than a path or an
// image for each dot: 50,000 dots take a fraction of a second on a computer without a GPU too.

import { colour, glyphPath } from '../lib/dom.js';

const FADED = 0.18; // of a dot outside the selection
const KEPT = 2000; // glyphs
const glyphs = new Map();

/** The pixels of one glyph around its middle: places dx, dy, colours rgb (3 a pixel), opacity (0 to 1); reach in pixels. */
function glyphOf(shape, fill, outline, radius, line) {
  const key = `${shape} ${fill} ${outline} ${radius} ${line}`;
  if (glyphs.has(key)) return glyphs.get(key);
  if (glyphs.size > KEPT) glyphs.clear();
  const reach = Math.ceil(radius * 1.35 + line + 1);
  const side = 2 * reach;
  const ctx = Object.assign(document.createElement('canvas'), { width: side, height: side }).getContext('2d', { willReadFrequently: true });
  const path = new Path2D(glyphPath(shape, reach, reach, radius));
  ctx.fillStyle = fill;
  ctx.strokeStyle = outline;
  ctx.lineWidth = line;
  if (fill) ctx.fill(path);
  if (outline) ctx.stroke(path);
  const { data } = ctx.getImageData(0, 0, side, side);
  const inked = [];
  for (let i = 0; i < side * side; i++) if (data[4 * i + 3]) inked.push(i);
  const glyph = {
    reach,
    dx: Int16Array.from(inked, (i) => (i % side) - reach),
    dy: Int16Array.from(inked, (i) => Math.floor(i / side) - reach),
    rgb: Uint8Array.from(inked.flatMap((i) => [data[4 * i], data[4 * i + 1], data[4 * i + 2]])),
    opacity: Float32Array.from(inked, (i) => data[4 * i + 3] / 255),
  };
  glyphs.set(key, glyph);
  return glyph;
}

/** Lay a glyph over opaque pixels, its middle at (x, y). */
function lay({ data, width, height }, glyph, x, y, strength) {
  const { reach, dx, dy, rgb, opacity } = glyph;
  const whole = x >= reach && y >= reach && x + reach <= width && y + reach <= height;
  for (let i = 0; i < dx.length; i++) {
    const px = x + dx[i];
    const py = y + dy[i];
    if (!whole && (px < 0 || py < 0 || px >= width || py >= height)) continue;
    const o = 4 * (py * width + px);
    const share = opacity[i] * strength;
    if (share === 1) {
      data[o] = rgb[3 * i];
      data[o + 1] = rgb[3 * i + 1];
      data[o + 2] = rgb[3 * i + 2];
      continue;
    }
    data[o] += (rgb[3 * i] - data[o]) * share;
    data[o + 1] += (rgb[3 * i + 1] - data[o + 1]) * share;
    data[o + 2] += (rgb[3 * i + 2] - data[o + 2]) * share;
  }
}

/** The ground and the dashed outlines of the base. The canvas is opaque after it. */
export function drawGround(ctx, frame) {
  ctx.fillStyle = colour('--panel');
  ctx.fillRect(0, 0, frame.width, frame.height);
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
  ctx.globalAlpha = 1;
}

/**
 * Hollow dots of the base (`base`: columns, or null for none), then the trail [[dots, age]], oldest first. `paint`:
 * {shape(dot), ink(dot), outline, alpha(age)}; `chosen`: ids that keep their strength while all others fade, or null.
 */
export function drawDots(ctx, frame, base, trail, paint, ratio, chosen) {
  const pixels = ctx.getImageData(0, 0, ctx.canvas.width, ctx.canvas.height);
  const put = (glyph, x, y, strength) => {
    const [px, py] = frame.place(x, y);
    lay(pixels, glyph, Math.round(px * ratio), Math.round(py * ratio), strength);
  };
  if (base) {
    const ring = glyphOf(0, '', colour('--base'), 2.6 * ratio, ratio);
    for (let i = 0; i < base.n; i++) if (base.x[i] === base.x[i]) put(ring, base.x[i], base.y[i], 0.55);
  }
  for (const faded of chosen ? [true, false] : [false]) {
    for (const [group, age] of trail) {
      const find = finder(paint, age, ratio);
      const strength = faded ? FADED : paint.alpha(age);
      for (const dot of group) if (dot.x === dot.x && (!chosen || chosen.has(dot.id) !== faded)) put(find(dot), dot.x, dot.y, strength);
    }
  }
  ctx.putImageData(pixels, 0, 0);
}

/** The glyph of a dot of that age; each kind of dot is looked up by words only once. */
function finder(paint, age, ratio) {
  const known = new Map(); // ink -> glyph of each shape
  const css = (name) => (name.startsWith('--') ? colour(name) : name);
  const rim = paint.outline || !age ? css(paint.outline ?? '--halo') : '';
  return (dot) => {
    const ink = paint.ink(dot);
    const shape = paint.shape(dot);
    let shapes = known.get(ink);
    if (!shapes) known.set(ink, (shapes = []));
    return (shapes[shape] ??= glyphOf(shape, css(ink), rim, (age ? 4.2 : 5.2) * ratio, 1.1 * ratio));
  };
}
