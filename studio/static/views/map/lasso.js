// Drawing around dots: the line on screen, and the dots inside once it is closed.

import { inside } from '../../lib/hull.js';
import { select, state, viewed } from '../../lib/store.js';

const NEAR = 3; // pixels between two corners of the line

export class Lasso {
  /** `path`: the SVG path that shows the line. `told(words, shown)` hears what came of it, and whether to show it too. */
  constructor(frame, path, told) {
    Object.assign(this, { frame, path, told });
    this.corners = null; // of the line under way or of the selection, in layout coordinates
    this.drawing = false;
  }

  start(x, y) {
    this.drawing = true;
    this.corners = [this.frame.find(x, y)];
    this.draw();
  }

  move(x, y) {
    const [px, py] = this.frame.place(...this.corners.at(-1));
    if (Math.hypot(px - x, py - y) < NEAR) return;
    this.corners.push(this.frame.find(x, y));
    this.draw();
  }

  end() {
    this.drawing = false;
    const shown = seen();
    this.take(shown.filter((dot) => inside([dot.x, dot.y], this.corners)).map((dot) => dot.id), shown.length);
  }

  /** Select ids of `of` dots on the map, or say that there are none. */
  take(ids, of) {
    if (!ids.length) this.corners = null;
    select(ids.length ? { ids, of } : null);
    this.told(ids.length ? `${ids.length} of ${of} pictures selected.` : 'No dots inside. Draw around some.', !ids.length);
    this.draw();
  }

  clear() {
    this.corners = null;
    this.drawing = false;
    this.draw();
  }

  draw() {
    if (!state.sel && !this.drawing) this.corners = null;
    const ready = this.corners && this.frame.ready;
    const d = ready ? `M${this.corners.map((c) => this.frame.place(...c).map((v) => v.toFixed(1)).join(' ')).join('L')}${this.drawing ? '' : 'Z'}` : '';
    if (this.path.getAttribute('d') !== d) this.path.setAttribute('d', d);
  }
}

/** The dots of this run that are on the map now. */
export const seen = () =>
  state.dots
    .trail(viewed())
    .flatMap(([group]) => group)
    .filter((dot) => dot.x === dot.x);
