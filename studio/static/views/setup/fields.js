// Fields of the form made from the config's own words and bounds.

import { h } from '../../lib/dom.js';
import { form, set } from './form.js';
import { inWords } from './words.js';

/** A field with a place for its sentence, so that an error moves nothing far away. */
export const field = (name, ...children) =>
  h('div', { class: 'field', 'data-field': name }, children, h('p', { class: 'wrong', role: 'status' }));

/** What the mark beside a field means. */
export const OURS = 'Our choice: the papers leave it open, or say something else.';

/** A number stays a number; anything else travels as typed, and the server says what is wrong with it. */
export function read(text) {
  const clean = text
    .trim()
    .replace('−', '-')
    .replace(/^(-?\d+),(\d+)$/, '$1.$2');
  return clean !== '' && Number.isFinite(Number(clean)) ? Number(clean) : clean;
}

export function control(name, title = null) {
  const known = form.known.fields[name],
    parts = known.schema.anyOf || [known.schema],
    choice = parts.find((p) => p.enum);
  const sign = known.symbol ? h('i', { class: 'sym' }, ` ${known.symbol}`) : null;
  const ours = known.ours ? h('abbr', { class: 'ours', title: OURS }, '*') : null;
  let input;
  if (parts.length === 1 && choice) {
    input = h(
      'select',
      { class: 'sel', 'aria-label': known.label, onchange: (e) => set(name, e.target.value) },
      choice.enum.map((v) => h('option', { value: v }, inWords(name, v))),
    );
    form.draws.push(() => {
      input.value = form.values[name];
    });
  } else if (known.schema.type === 'boolean') {
    input = h('input', { type: 'checkbox', 'aria-label': known.label, onchange: (e) => set(name, e.target.checked) });
    form.draws.push(() => {
      input.checked = Boolean(form.values[name]);
    });
  } else {
    const empty = parts.some((p) => p.type === 'null');
    input = h('input', {
      class: parts.some((p) => p.type === 'string') && parts.length === 1 ? 'numin words' : 'numin',
      'aria-label': known.label,
      autocomplete: 'off',
      placeholder: empty ? 'none' : '',
      oninput: (e) => set(name, empty && e.target.value.trim() === '' ? null : read(e.target.value)),
    });
    form.draws.push(() => {
      if (document.activeElement !== input) input.value = form.values[name] ?? '';
    });
  }
  return field(name, h('div', { class: 'line', title: known.help }, h('span', {}, title ?? known.label, sign, ours), input));
}
