// The schedule map of Live: what the next iteration does, what a turn that waits will do, or what a past one did.

import { get, on, post, runPath, rowAt, state, viewed, following } from '../../lib/store.js';
import { FADE, LEASH, WINDOW, fadeTau } from '../dials/rows.js';
import { turn, turnable, waiting } from '../dials/turning.js';
import { grabbable } from './drag.js';
import { scene } from './map.js';
import { asking, mapPlace } from './panel.js';

export function liveSchedule(root) {
  let schedule = null,
    asked = '';
  const place = mapPlace(root, (changes) => {
    const T = schedule.steps;
    if ('leash' in changes) turn({ [LEASH.name]: changes.leash });
    if ('size' in changes) turn({ [WINDOW.size]: changes.size });
    if ('low' in changes) turn({ [FADE.low]: fadeTau(changes.low, T), [FADE.high]: fadeTau(changes.high, T) });
  });
  const ask = asking((answer) => {
    schedule = answer;
    draw();
  });
  const fetched = async (wait) => ({ ...(await (wait ? post(runPath('schedule'), wait) : get(runPath('schedule')))), turned: Boolean(wait) });

  /** Ask again when a dial was turned or waits, the run grew, or HRF-D chose; else the plan is known. */
  function look() {
    const { head, run } = state;
    if (!head || !state.info || !root.clientWidth) return;
    const wait = waiting(),
      open = !schedule || !exact(head.newest + 1); // what the next iteration does is not in its row
    const key = JSON.stringify([run, head.epoch, head.iterations, head.turns.length, head.turns.at(-1)?.id, wait, open && head.newest]);
    if (key !== asked) {
      asked = key;
      ask(() => fetched(wait));
    }
    draw();
  }

  function draw() {
    const { head } = state;
    root.style.visibility = head && schedule ? '' : 'hidden';
    if (!head || !schedule) return;
    const shared = { newest: Math.max(0, head.newest), turns: [...new Set(head.turns.map((t) => t.iteration))] };
    if (following() || !viewed()) {
      const drawn = scene(schedule, { ...shared, now: upcoming(), when: schedule.turned ? 'from' : head.alive ? '' : 'past' });
      place.show(turnable() ? { ...drawn, grab: grabbable(drawn.lane) } : drawn);
    } else place.show(scene(schedule, { ...shared, now: recorded(viewed()), when: 'past' }));
  }

  /** The iteration that is being made, or the last of a run that has ended. */
  function upcoming() {
    const { head } = state;
    if (!head.alive && head.newest > 0) return recorded(head.newest);
    if (schedule.turned) return schedule.now; // as it will be once the turn is in force
    return at(Math.min(head.newest + 1, schedule.iterations));
  }
  /** The row of an iteration if it says all: not one that is merged, nor one that HRF-D has yet to choose. */
  const exact = (iteration) => schedule.rows.find((r) => r.from <= iteration && iteration <= r.to && r.known && r.trained);
  /** A planned iteration: from its row, else what the server worked out. */
  const at = (iteration) => ({ ...(exact(iteration) ?? schedule.now), iteration });
  /** What the trainer did. */
  function recorded(iteration) {
    const window = rowAt(iteration)?.window;
    if (!window) return at(iteration);
    const planned = at(iteration);
    const same = planned.trained.join() === window[1].join();
    return { iteration, start: window[0], trained: window[1], stochastic: same ? planned.stochastic : window[1], known: true };
  }

  on('run', () => {
    [schedule, asked] = [null, ''];
    draw();
  });
  return { look, draw };
}
