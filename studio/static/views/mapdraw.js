// Ink on the map's canvas. Every glyph is drawn once and then copied pixel by pixel, many times faster than a path or an
// image for each dot: 50,000 dots take a fraction of a second on a computer without a GPU too.

import { colour, glyphPath } from '../lib/dom.js';

const FADED = 0.18; // of a dot outside the selection
const KEPT = 2000; // glyphs
const glyphs = new Map();

/**
 * The pixels of one glyph of that strength around its middle, those that hide the ground last: places dx, dy; colours rgb
 * (3 a pixel) times their opacity, and how much of the ground shines through; from the `solid`-th on, whole pixels in
 * `ink`; reach in pixels.
 */
function glyphOf(shape, fill, outline, radius, line, strength) {
  const key = `${shape} ${fill} ${outline} ${radius} ${line} ${strength}`;
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
  const hides = (i) => strength === 1 && data[4 * i + 3] === 255;
  inked.sort((i, j) => hides(i) - hides(j));
  const opacity = inked.map((i) => (data[4 * i + 3] / 255) * strength);
  const words = new Uint32Array(data.buffer);
  const glyph = {
    reach,
    dx: Int16Array.from(inked, (i) => (i % side) - reach),
    dy: Int16Array.from(inked, (i) => Math.floor(i / side) - reach),
    rgb: Float32Array.from(inked.flatMap((i, n) => [0, 1, 2].map((c) => data[4 * i + c] * opacity[n] + 0.5))), // rounded, not cut off
    through: Float32Array.from(opacity, (share) => 1 - share),
    ink: Uint32Array.from(inked, (i) => words[i]),
    solid: inked.filter((i) => !hides(i)).length,
    width: 0,
    steps: null, // places as steps in a picture of that width
  };
  glyphs.set(key, glyph);
  return glyph;
}

/** Lay a glyph over opaque pixels, its middle at (x, y). `bytes` and `words`: the pixels, width and height of them. */
function lay({ bytes, words, width, height }, glyph, x, y) {
  const { reach, dx, dy, rgb, through, ink, solid } = glyph;
  if (glyph.width !== width) {
    glyph.width = width;
    glyph.steps = Int32Array.from(dx, (d, i) => dy[i] * width + d);
  }
  const { steps } = glyph;
  const middle = y * width + x;
  const blend = (i) => {
    const o = 4 * (middle + steps[i]);
    const ground = through[i];
    bytes[o] = bytes[o] * ground + rgb[3 * i];
    bytes[o + 1] = bytes[o + 1] * ground + rgb[3 * i + 1];
    bytes[o + 2] = bytes[o + 2] * ground + rgb[3 * i + 2];
  };
  if (x >= reach && y >= reach && x + reach <= width && y + reach <= height) {
    for (let i = 0; i < solid; i++) blend(i);
    for (let i = solid; i < steps.length; i++) words[middle + steps[i]] = ink[i];
    return;
  }
  const inside = (i) => x + dx[i] >= 0 && y + dy[i] >= 0 && x + dx[i] < width && y + dy[i] < height;
  for (let i = 0; i < steps.length; i++) if (inside(i)) blend(i);
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
  const { buffer } = pixels.data;
  const ground = { bytes: new Uint8Array(buffer), words: new Uint32Array(buffer), width: pixels.width, height: pixels.height }; // clamping each write would cost time
  const put = (glyph, x, y) => {
    const [px, py] = frame.place(x, y);
    lay(ground, glyph, Math.round(px * ratio), Math.round(py * ratio));
  };
  if (base) {
    const ring = glyphOf(0, '', colour('--base'), 2.6 * ratio, ratio, 0.55);
    for (let i = 0; i < base.n; i++) if (base.x[i] === base.x[i]) put(ring, base.x[i], base.y[i]);
  }
  for (const faded of chosen ? [true, false] : [false]) {
    for (const [group, age] of trail) {
      const find = finder(paint, age, ratio, faded ? FADED : paint.alpha(age));
      for (const dot of group) if (dot.x === dot.x && (!chosen || chosen.has(dot.id) !== faded)) put(find(dot), dot.x, dot.y);
    }
  }
  ctx.putImageData(pixels, 0, 0);
}

/** The glyph of a dot of that age and strength; each kind of dot is looked up by words only once. */
function finder(paint, age, ratio, strength) {
  const known = new Map(); // ink -> glyph of each shape
  const css = (name) => (name.startsWith('--') ? colour(name) : name);
  const rim = paint.outline || !age ? css(paint.outline ?? '--halo') : '';
  return (dot) => {
    const ink = paint.ink(dot);
    const shape = paint.shape(dot);
    let shapes = known.get(ink);
    if (!shapes) known.set(ink, (shapes = []));
    return (shapes[shape] ??= glyphOf(shape, css(ink), rim, (age ? 4.2 : 5.2) * ratio, 1.1 * ratio, strength));
  };
}
