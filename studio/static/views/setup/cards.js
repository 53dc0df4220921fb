// The preset cards: a radio group of shipped presets and one's own, each with its schedule and what it cost here.

import { h, say, seconds, giga } from '../../lib/dom.js';
import { form, choose, isBase } from './form.js';
import { measuring, measure } from './measure.js';
import { scheduleGlyph, scheduleWords } from './glyph.js';
import { scheduleKey } from './key.js';

const slots = new Map(); // card -> what writes its measured slot
const OWN_SHOWN = 8; // of one's own; all of them are under Load a setup

/** The key of their pictures, and the cards. */
export function cards() {
  const box = h('div', { class: 'cards', role: 'radiogroup', 'aria-labelledby': 'mm-q' });
  let key = '';
  form.draws.push(() => {
    const now = JSON.stringify([form.known.presets, form.known.own]);
    if (now !== key) {
      key = now;
      fill(box);
    }
    const radios = [...box.querySelectorAll('[role=radio]')];
    const chosen = radios.find((r) => isBase(r.dataset.kind, r.dataset.preset));
    radios.forEach((r, i) => {
      r.setAttribute('aria-checked', String(r === chosen));
      r.tabIndex = r === chosen || (!chosen && i === 0) ? 0 : -1;
      slots.get(r)(r === chosen);
    });
  });
  return [scheduleKey(), box];
}

function fill(box) {
  const { presets, own } = form.known;
  slots.clear();
  const made = [...presets.map((p) => card(p, 'preset')), ...own.slice(0, OWN_SHOWN).map((p) => card(p, 'own'))];
  box.replaceChildren(
    ...(made.length ? made : [h('p', { class: 'none' }, 'There are no presets in this copy; every field below starts from its default.')]),
  );
}

function card(preset, kind) {
  if (!preset.values) return h('div', { class: 'pc broken' }, h('b', {}, preset.title ?? preset.name), h('p', {}, preset.broken));
  const cost = h('b', {}),
    note = h('span', {});
  const node = h(
    'button',
    {
      class: `pc${kind === 'own' ? ' own' : ''}`,
      role: 'radio',
      'data-preset': preset.name,
      'data-kind': kind,
      title: scheduleWords(preset.schedule),
      onclick: (e) => {
        const again = isBase(kind, preset.name);
        if (!again) choose({ ...preset, kind });
        else if (e.target === note && note.className === 'do') measure();
      },
      onkeydown: walk,
    },
    scheduleGlyph(preset.schedule),
    h('b', { dir: 'auto' }, preset.title),
    h('p', { dir: 'auto' }, preset.line || (kind === 'own' ? 'Your own preset.' : '')),
    h('span', { class: 'ms' }, cost, note),
  );
  slots.set(node, (chosen) => {
    const m = preset.measured,
      job = chosen && measuring.running;
    note.className = chosen && !m && !job && !form.checked?.measured ? 'do' : '';
    say(cost, m ? `${seconds(m.seconds)}, ${giga(m.memory)} GB` : '');
    say(note, job ? 'measuring' : m ? 'measured here' : note.className ? measureWords() : 'not measured yet');
  });
  return node;
}

/** "Measure, 24 s" once a trial of this model has shown how long one takes. */
export const measureWords = () => (form.checked?.trial ? `Measure, ${seconds(form.checked.trial)}` : 'Measure');

function walk(event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const all = [...event.target.parentNode.querySelectorAll('[role=radio]')],
    next = all[(all.indexOf(event.target) + step + all.length) % all.length];
  next.click();
  next.focus();
}
