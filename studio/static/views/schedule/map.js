// The schedule map: the lanes of one iteration above, the window over the run below, one axis of steps for both.

import { svg } from '../../lib/dom.js';
import { text } from '../../lib/marks.js';
import { layout, steps } from './steps.js';
import { overRun } from './run.js';
import { inWords } from './words.js';

/**
 * What is to be drawn of `schedule` (of the server) at one iteration: {schedule, lane, now, when, newest, turns, grab}.
 * now: {iteration, start, trained, stochastic, known, live}; without it the schedule's own.
 */
export function scene(schedule, { now = schedule.now, when = '', newest = 0, turns = [], grab = new Set() } = {}) {
  const lane = schedule.lanes.find((l) => l.from <= now.iteration && now.iteration <= l.to) ?? schedule.lanes.at(-1);
  return { schedule, lane, now: { ...now, live: lane.window === 'hrf_dynamic' }, when, newest, turns, grab };
}

/** The map as a picture W x H; id: of this map alone on the page. */
export function drawMap({ schedule, lane, now, when, newest, turns, grab }, W, H, id) {
  const at = { ...layout(H), id },
    title = at.bottom + at.cell, // baseline of the words between the halves
    run = title + 6;
  const s =
    steps(at, lane, now, schedule.steps, W, grab) +
    text(0, title, 'the window over the run', 'start', 'm') +
    overRun(schedule, { at: now.iteration, newest, turns }, W, run, H - run - 15);
  const label = `Steps from noisy, left, to clean, right. ${inWords(lane, now, when)}`;
  return svg(W, H, s, { viewBox: `0 0 ${W} ${H}`, role: 'img', 'aria-label': label });
}
