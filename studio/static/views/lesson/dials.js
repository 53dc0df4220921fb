// The dials that a recorded run turned. They can be seen, not turned.

import { h, say } from '../../lib/dom.js';
import { on, state, viewed } from '../../lib/store.js';

/** {node, show(dials)}; dial: {label, symbol, old, new, high, digits, iteration}. */
export function turnedDials() {
  const place = h('div', { class: 'turned' });
  const node = h('div', { class: 'sec mm-dials' }, h('div', { class: 'hd' }, h('h2', {}, 'Dials'), h('span', { class: 'sub' }, 'as recorded: here they only show')), place);
  let rows = [];

  function row(dial) {
    const value = h('output', { class: 'numin' }),
      note = h('div', { class: 'note' }),
      track = h('input', { type: 'range', min: 0, max: dial.high, step: 10 ** -dial.digits, disabled: true, 'aria-label': `${dial.label} ${dial.symbol}` });
    const node = h('div', { class: 'dial' }, h('div', { class: 't' }, h('label', {}, `${dial.label} `, h('i', { class: 'sym' }, dial.symbol)), value), track, note);
    const draw = () => {
      const turned = viewed() >= dial.iteration,
        now = turned ? dial.new : dial.old;
      say(value, now.toFixed(dial.digits));
      track.value = now;
      track.style.setProperty('--p', `${(100 * now) / dial.high}%`);
      say(note, turned ? `In force since iteration ${dial.iteration}.` : 'Not turned yet.');
    };
    return { node, draw };
  }
  const draw = () => rows.forEach((r) => r.draw());
  on('view rows', () => state.replay && draw());
  return {
    node,
    show(dials) {
      if (place.dataset.key === JSON.stringify(dials)) return draw();
      place.dataset.key = JSON.stringify(dials);
      rows = dials.map(row);
      place.replaceChildren(...rows.map((r) => r.node));
      return draw();
    },
  };
}
