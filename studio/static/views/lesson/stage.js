// What the steps show: the views of Live a second time, without the controls that belong to a run of one's own.

import { $, h, say } from '../../lib/dom.js';
import { newest } from '../../lib/store.js';
import { redraw } from '../live.js';
import { map } from '../map.js';
import { pictures } from '../pictures.js';
import { liveSchedule } from '../schedule/live.js';
import { scrubber } from '../scrubber.js';
import { shares } from '../shares.js';
import { variety } from '../variety.js';
import { besidePath } from './beside.js';
import { turnedDials } from './dials.js';
import { pairs } from './pairs.js';

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
  const dials = turnedDials();
  const beside = besidePath();
  const kept = h('p', { class: 'kept' });
  const pairGrid = pairs(list);
  const node = h(
    'section',
    { class: 'stage', 'aria-label': 'Replay' },
    h('div', { class: 'main' }, places.map, kept, schedule(), pairGrid, places.scrubber, places.pictures),
    h('div', { class: 'side' }, dials.node, beside.node, places.variety, places.shares),
  );
  return {
    node,
    show(step, done) {
      say(kept, step.kept ?? '');
      marks.show(done ? (step.marks ?? []) : []);
      dials.show(step.dials ?? []);
      beside.show(step.beside);
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
