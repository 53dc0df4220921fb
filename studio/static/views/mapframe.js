// Where things are on the map: from layout coordinates to pixels, the hulls of the looks, the corners of their labels.

import { core, hull, placeLabels, placeLetters, soften } from '../lib/hull.js';

const CHIP = { look: [112, 38], prompt: [140, 38] }; // pixels
const LABELS = 8; // at most
const STRETCH = 1.6; // x and y may differ in scale by so much, to fill the frame

export class Frame {
  constructor() {
    this.width = 0;
    this.height = 0;
    this.hulls = []; // [{key, line}]
    this.corners = []; // of the label of each of the first hulls
    this.letters = []; // where the letter of each of these stands on its outline
    this.fit();
  }

  fit() {
    this.zoom = { k: 1, x: 0, y: 0 };
  }

  /**
   * Bounds come from the base pictures alone, so the map stays still. `base`: columns; one cloud for each of `keys`, of
   * the pictures that have it in the column `by`: look or prompt.
   */
  measure(base, keys, by, width, height) {
    Object.assign(this, { width, height, ready: false, hulls: [], corners: [], letters: [] });
    const there = base ? [...base.x.keys()].filter((i) => base.x[i] === base.x[i]) : [];
    if (!there.length || !width) return;
    const ends = (column) => there.reduce(([low, high], i) => [Math.min(low, column[i]), Math.max(high, column[i])], [Infinity, -Infinity]);
    const [left, right] = ends(base.x);
    const [bottom, top] = ends(base.y);
    const sx = (width - 110) / (right - left || 1);
    const sy = (height - 130) / (top - bottom || 1);
    Object.assign(this, {
      ready: true,
      kx: Math.min(sx, sy * STRETCH),
      ky: Math.min(sy, sx * STRETCH),
      cx: (left + right) / 2,
      cy: (bottom + top) / 2,
    });
    const clouds = keys.map((key) => ({
      key,
      points: there.filter((i) => base[by][i] === key).map((i) => this.place(base.x[i], base.y[i])),
    }));
    this.hulls = clouds.filter((c) => c.points.length > 2).map((c) => ({ key: c.key, line: soften(hull(core(c.points)), 16) }));
    const lines = this.hulls.slice(0, LABELS).map((c) => c.line);
    const dots = clouds.flatMap((c) => c.points);
    this.corners = placeLabels(lines, dots, ...CHIP[by], width, height);
    this.letters = placeLetters(lines, dots, this.corners, width, height);
  }

  place(x, y) {
    const { k, x: dx, y: dy } = this.zoom;
    return [((x - this.cx) * this.kx + this.width / 2) * k + dx, (this.height / 2 - 10 - (y - this.cy) * this.ky) * k + dy];
  }

  /** The layout coordinates at a pixel: the other way of place(). */
  find(px, py) {
    const { k, x: dx, y: dy } = this.zoom;
    return [((px - dx) / k - this.width / 2) / this.kx + this.cx, (this.height / 2 - 10 - (py - dy) / k) / this.ky + this.cy];
  }

  /** Zoom by a wheel's turn, keeping the pixel (x, y) where it is. */
  turn(x, y, delta) {
    const k = Math.max(1, Math.min(20, this.zoom.k * Math.exp(-delta * 0.0015)));
    const r = k / this.zoom.k;
    this.zoom = k === 1 ? { k: 1, x: 0, y: 0 } : { k, x: x - (x - this.zoom.x) * r, y: y - (y - this.zoom.y) * r };
  }
}
