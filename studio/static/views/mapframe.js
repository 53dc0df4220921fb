// Where things are on the map: from layout coordinates to pixels, the hulls of the looks, the corners of their labels.

import { core, hull, placeLabels, soften } from '../lib/hull.js';

export const CHIP = [112, 38]; // pixels
const STRETCH = 1.6; // x and y may differ in scale by so much, to fill the frame

export class Frame {
  constructor() {
    this.width = 0;
    this.height = 0;
    this.hulls = []; // [{look, line}]
    this.corners = []; // of the label of each hull
    this.fit();
  }

  fit() {
    this.zoom = { k: 1, x: 0, y: 0 };
  }

  /** Bounds come from the base pictures alone, so the map stays still. `base`: columns, `looks`: [{look}]. */
  measure(base, looks, width, height) {
    Object.assign(this, { width, height, ready: false, hulls: [], corners: [] });
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
    const clouds = looks.map(({ look }) => ({
      look,
      points: there.filter((i) => base.look[i] === look).map((i) => this.place(base.x[i], base.y[i])),
    }));
    this.hulls = clouds.filter((c) => c.points.length > 2).map((c) => ({ look: c.look, line: soften(hull(core(c.points)), 16) }));
    const lines = this.hulls.map((c) => c.line);
    this.corners = placeLabels(
      lines,
      clouds.flatMap((c) => c.points),
      ...CHIP,
      width,
      height,
    );
  }

  place(x, y) {
    const { k, x: dx, y: dy } = this.zoom;
    return [((x - this.cx) * this.kx + this.width / 2) * k + dx, (this.height / 2 - 10 - (y - this.cy) * this.ky) * k + dy];
  }

  /** Zoom by a wheel's turn, keeping the pixel (x, y) where it is. */
  turn(x, y, delta) {
    const k = Math.max(1, Math.min(20, this.zoom.k * Math.exp(-delta * 0.0015)));
    const r = k / this.zoom.k;
    this.zoom = k === 1 ? { k: 1, x: 0, y: 0 } : { k, x: x - (x - this.zoom.x) * r, y: y - (y - this.zoom.y) * r };
  }
}
