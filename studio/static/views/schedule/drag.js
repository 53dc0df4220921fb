// Edges of the schedule map can be dragged; they are the same dials. Keyboards have the sliders.

import { clamp } from '../../lib/dom.js';

const NEEDS_SIZE = /^(mix_|fast_random)/;

/** The edges that may move with these dials. */
export function grabbable(lane) {
  const names = ['leash'];
  if (NEEDS_SIZE.test(lane.window)) names.push('size');
  if (lane.noise && lane.fade) names.push('fade');
  return new Set(names);
}

/**
 * Let edges drawn in `place` be dragged. current(): the scene that is drawn, or null. move(changes) is told {leash}, {size} or
 * {low, high} in steps, only when they change.
 */
export function draggable(place, current, move) {
  let taken = null;

  place.addEventListener('pointerdown', (e) => {
    const edge = e.target.closest?.('[data-edge]');
    if (!edge || !current()) return;
    taken = { name: edge.dataset.edge, last: null };
    place.setPointerCapture(e.pointerId);
    e.preventDefault();
  });
  place.addEventListener('pointermove', (e) => {
    const scene = taken && current();
    if (!scene) return;
    const box = place.firstElementChild.getBoundingClientRect(),
      T = scene.schedule.steps,
      x = ((e.clientX - box.left) / box.width) * T;
    const changes = to(taken.name, x, scene, T),
      key = JSON.stringify(changes);
    if (key === taken.last) return;
    taken.last = key;
    move(changes);
  });
  const drop = () => {
    taken = null;
  };
  place.addEventListener('pointerup', drop);
  place.addEventListener('pointercancel', drop);
}

/** The dial's new value when its edge is at x, in steps. */
function to(name, x, { lane, now }, T) {
  if (name === 'leash') return { leash: clamp(Math.round(x), 0, T) };
  if (name === 'size') return { size: clamp(Math.round(x) - now.trained[0], 1, T - 1) };
  const step = Math.round(x - 0.5); // the fade has its ends in the middle of a step
  const [low, high] = lane.fade.map(Math.round);
  return name === 'low' ? { low: clamp(step, 0, high - 1), high } : { low, high: clamp(step, low + 1, T) };
}
