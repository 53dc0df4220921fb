// The Live screen: three columns, each panel of a fixed size. Panels draw themselves when what they show changes.

import { $, h } from '../lib/dom.js';
import { state, on } from '../lib/store.js';
import { map } from './map.js';
import { scrubber } from './scrubber.js';
import { pictures } from './pictures.js';
import { variety } from './variety.js';
import { shares } from './shares.js';
import { front } from './front.js';
import { dials } from './dials.js';
import { notice } from './notice.js';

export function live(root) {
  const column = (label, ...sections) => h('section', { class: 'col', 'aria-label': label }, sections);
  const place = (id) => h('div', { class: `sec mm-${id}` });
  root.append(
    column('Map', h('h1', { class: 'sr' }, 'Live'), place('map'), place('scrubber'), place('pictures')),
    column('Readings', place('variety'), place('shares'), place('front')),
    h('button', { class: 'btn drawer', id: 'mm-drawer', 'aria-expanded': 'false', title: 'Dials  D', onclick: drawer }, 'Dials'),
    column('Dials', place('dials')),
  );
  $('.mm-map', root).append(h('div', { class: 'mm-notice' }));
  const views = { map, scrubber, pictures, variety, shares, front, dials, notice };
  for (const [name, view] of Object.entries(views)) view($(`.mm-${name}`, root));
  const empty = () => root.classList.toggle('nothing', !state.run);
  on('run head', empty);
  empty();

  function drawer() {
    const open = root.classList.toggle('open');
    const button = $('#mm-drawer', root);
    button.setAttribute('aria-expanded', String(open));
    button.textContent = open ? 'Close' : 'Dials';
  }
  root.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || !root.classList.contains('open') || document.querySelector(':popover-open')) return;
    drawer();
    $('#mm-drawer', root).focus();
  });
}

/** Call `draw` now and whenever one of `events` happens or the panel changes its size, at most once a frame and only while it is seen. */
export function redraw(panel, events, draw) {
  let due = false;
  const later = () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      if (panel.clientWidth) draw();
    });
  };
  on(events, later);
  new ResizeObserver(later).observe(panel);
  return later;
}
