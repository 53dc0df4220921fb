// The schedule of one iteration in a sentence.

import { held, spans } from './steps.js';

const MOVING = /^(mix_(progressive|decay|exp_decay)|hrf_scheduled)$/;
const DRAWN = /^(mix_random|fast_random|random_fraction|hrf_early|hrf_latter)$/;

/** [2, 3, 5] -> "2 to 3 and 5". */
function range(steps) {
  const parts = spans(steps).map(([a, b]) => (b - a > 1 ? `${a} to ${b - 1}` : String(a)));
  return parts.length > 1 ? `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}` : parts[0];
}
const named = (steps) => `step${steps.length > 1 ? 's' : ''} ${range(steps)}`;

/** when: '' for now, 'from' while a turn waits, 'past' for an iteration that is done. */
export function inWords(lane, now, when = '') {
  const { trained } = now;
  const verb = { past: `At iteration ${now.iteration}: trained`, from: `From iteration ${now.iteration}: training`, '': 'Training' }[when];
  let what = `${verb} ${named(trained)}`;
  if (now.live && when !== 'past') what = now.guessed ? `${what}, from a start that is chosen live` : `${verb} the steps from a start that is chosen live`;
  else if (when !== 'past' && MOVING.test(lane.window)) what += ' for now';
  else if (when !== 'past' && DRAWN.test(lane.window)) what += ', drawn anew in every iteration';
  else if (now.start > 0) what += ', going on from finished pictures';
  return `${what}; ${leash(lane, now, when)}${noise(lane, when)}.`;
}

function leash(lane, now, when) {
  const [dark] = held(lane, now);
  const past = when === 'past';
  if (!lane.leash) return past ? 'no leash' : 'the leash is off';
  if (!(lane.strength > 0)) return 'the leash has no strength';
  return `the leash ${past ? 'held' : 'holds'} ${dark.length ? `${named(dark)} of them` : `none of them${past ? '' : ' now'}`}`;
}

function noise(lane, when) {
  const noisy = (lane.noise ?? []).flatMap((v, i) => (v > 0 ? [i] : []));
  return noisy.length ? `; the prompt ${when === 'past' ? 'was' : 'is'} noisy in ${named(noisy)}` : '';
}
