// What the steps show: the views of Live a second time, without the controls that belong to a run of one's own.

import { $, h, say } from '../../lib/dom.js';
import { newest, on, state, viewed } from '../../lib/store.js';
import { redraw } from '../live.js';
import { map } from '../map.js';
import { pictures } from '../pictures.js';
import { liveSchedule } from '../schedule/live.js';
import { scrubber } from '../scrubber.js';
import { shares } from '../shares.js';
import { variety } from '../variety.js';
import { pairs } from './pairs.js';

const BONUS = 3; // where the dial of the bonus ends
const EDGE = 6; // pixels that the scrubber leaves free at both ends

/** {node, show(step, done)}. */
export function stage({ pairs: list }) {
  const place = (name, ...inner) => h('div', { class: `sec mm-${name}` }, inner);
  const views = { map, scrubber, pictures, variety, shares };
  const places = Object.fromEntries(Object.keys(views).map((name) => [name, place(name)]));
  for (const [name, view] of Object.entries(views)) view(places[name]);
  for (const part of ['.hd', '.legend']) $(part, places.map).remove();
  for (const part of ['.pl', '.sel', '.follow']) $(part, places.scrubber).remove();
  for (const name of ['pictures', 'shares']) $('.hd .r', places[name])?.remove();
  const marks = verdictMarks(places.scrubber);
  const dial = turnedDial();
  const kept = h('p', { class: 'kept' });
  const pairGrid = pairs(list);
  const node = h(
    'section',
    { class: 'stage', 'aria-label': 'Replay' },
    h('div', { class: 'main' }, places.map, kept, schedule(), pairGrid, places.scrubber, places.pictures),
    h('div', { class: 'side' }, dial.node, places.variety, places.shares),
  );
  return {
    node,
    show(step, done) {
      say(kept, step.kept ?? '');
      marks.show(done ? (step.marks ?? []) : []);
      dial.show(step.dial);
    },
  };
}

function schedule() {
  const node = h('div', { class: 'sec mm-hold' });
  const map_ = liveSchedule(node);
  redraw(node, 'head info run view rows', map_.look);
  return node;
}

/** Words on the scrubber at the iterations at which the verdict changed. */
function verdictMarks(root) {
  const node = h('div', { class: 'marks', 'aria-hidden': 'true' });
  let shown = [];
  root.append(node);
  const draw = () => {
    const line = $('.tl', root);
    const x = (iteration) => line.offsetLeft + EDGE + (iteration / Math.max(newest(), 1)) * (line.offsetWidth - 2 * EDGE);
    node.replaceChildren(...shown.map(({ iteration, word }) => h('span', { class: word.toLowerCase(), style: `left:${x(iteration).toFixed(1)}px` }, `${word} ${iteration}`)));
  };
  const later = redraw(root, 'rows run', draw);
  return {
    show(marks) {
      shown = marks;
      later();
    },
  };
}

/** The dial that the recorded run turned. It can be seen, not turned. */
function turnedDial() {
  const value = h('output', { class: 'numin' }),
    note = h('div', { class: 'note' }),
    track = h('input', { type: 'range', min: 0, max: BONUS, step: 0.05, disabled: true, 'aria-label': 'Diversity bonus β' });
  const node = h(
    'div',
    { class: 'sec mm-dials' },
    h('div', { class: 'hd' }, h('h2', {}, 'Dial'), h('span', { class: 'sub' }, 'Watching: a recorded run turns no dials')),
    h('div', { class: 'dial' }, h('div', { class: 't' }, h('label', {}, 'Diversity bonus ', h('i', { class: 'sym' }, 'β')), value), track, note),
  );
  let dial = null;
  function draw() {
    if (!dial) return;
    const turned = viewed() >= dial.iteration,
      now = turned ? dial.new : dial.old;
    say(value, now.toFixed(2));
    track.value = now;
    track.style.setProperty('--p', `${(100 * now) / BONUS}%`);
    say(note, turned ? `In force since iteration ${dial.iteration}.` : 'Pays extra for rare looks.');
  }
  on('view rows', () => state.replay && draw());
  return {
    node,
    show(next) {
      dial = next ?? null;
      draw();
    },
  };
}
