// The Compare screen: two sides on the same seeds, what one seed became, and what changed in numbers.

import { h } from '../lib/dom.js';
import { state, on } from '../lib/store.js';
import { begin, model } from './compare/model.js';
import { toolbar } from './compare/toolbar.js';
import { sides } from './compare/sides.js';
import { pairs } from './compare/pairs.js';
import { through } from './compare/through.js';
import { changed } from './compare/changed.js';
import { every } from './compare/every.js';

export function compare(root) {
  const place = (name, label) => h('section', { class: name, 'aria-label': label });
  const parts = {
    tool: place('tool', 'What is compared'),
    sides: place('sides', 'The two sides'),
    view: place('view', 'Pictures'),
    through: place('through', 'One seed through training'),
    changed: place('changed', 'What changed'),
    every: place('every', 'Every prompt'),
  };
  root.append(
    h('h1', { class: 'sr' }, 'Compare'),
    h('div', { class: 'main' }, parts.tool, parts.sides, parts.view, parts.through),
    h('aside', { class: 'numbers', 'aria-label': 'Measures' }, parts.changed, parts.every),
    h('p', { class: 'none' }, 'No run yet. Start one in Setup, or watch the lesson.'),
  );
  toolbar(parts.tool);
  sides(parts.sides);
  pairs(parts.view);
  through(parts.through);
  changed(parts.changed);
  every(parts.every);
  const empty = () => root.classList.toggle('nothing', !state.run);
  on('run head', empty);
  empty();
  begin(root);
  window.manymodes.compare = model;
}
