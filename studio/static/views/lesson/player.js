// Plays the shared replay up to an iteration, at a pace that a class can follow.

import { clamp } from '../../lib/dom.js';
import { newest, view, viewed } from '../../lib/store.js';

const WHOLE = 8000; // milliseconds for one play
const PACE = [100, 500]; // milliseconds an iteration, at least and at most
const WAIT = 100; // milliseconds until it looks again whether the iterations are there
const CALM = matchMedia('(prefers-reduced-motion: reduce)');

export class Player {
  /** `changed(finished)` whenever it starts to stand still. */
  constructor(changed) {
    this.changed = changed;
    this.timer = null;
  }

  get playing() {
    return this.timer !== null;
  }

  /** Play on to iteration `to`; the whole of it has `length` iterations. */
  play(to, length) {
    const pace = CALM.matches ? PACE[1] : clamp(WHOLE / Math.max(1, length), ...PACE);
    const tick = () => {
      if (newest() < to) {
        this.timer = setTimeout(tick, WAIT);
        return;
      }
      const next = viewed() + 1;
      view({ iteration: next });
      if (next < to) this.timer = setTimeout(tick, pace);
      else this.stop(true);
    };
    clearTimeout(this.timer);
    this.timer = setTimeout(tick, pace);
  }

  stop(finished = false) {
    if (!this.playing) return;
    clearTimeout(this.timer);
    this.timer = null;
    this.changed(finished);
  }
}
