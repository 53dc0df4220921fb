// Where there is no run yet, the map shows the outlines of the lesson's base model, so that one sees what will stand there.

import { getBinary, state } from '../../lib/store.js';

let base = null,
  asked = false;

/** The lesson's base pictures while no run is open, else null. `later()` once they are there. */
export function demoBase(later) {
  if (state.run) return null;
  if (!asked) {
    asked = true;
    getBinary('/api/runs/lesson:collapse/base?prompt=0').then((columns) => {
      base = columns;
      later();
    }, () => {}); // a copy without the lesson's recording has an empty frame
  }
  return base;
}
