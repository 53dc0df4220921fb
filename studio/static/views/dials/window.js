// Training window: its kind, then the numbers that the kind needs.

import { h } from '../../lib/dom.js';
import { state } from '../../lib/store.js';
import { KINDS, MORE_KINDS, WINDOW, kindName } from './rows.js';
import { asNumber, lines, sayNote } from './parts.js';
import { complain, pending, turn, turnable, value } from './turning.js';

const NAMES = Object.values(WINDOW);
const ASKS = {
  size: ['Steps in the window', 1, () => (state.info?.config.steps ?? 50) - 1, 30],
  stride: ['Steps per move', 1, () => 4, 26],
  interval: ['Iterations between moves', 1, () => 1000, 42],
};
const TITLE = 'Which denoising steps are trained. Fewer steps are faster; early ones change layout, late ones change finish. The last step is never trained.';

export function trainingWindow() {
  const id = 'mm-dial-window';
  const options = (kinds) => Object.entries(kinds).map(([kind, [name]]) => h('option', { value: kind }, name));
  const kind = h(
    'select',
    { class: 'sel', id, onchange: (e) => turn({ [WINDOW.kind]: e.target.value }) },
    options(KINDS),
    h('optgroup', { label: 'More' }, options(MORE_KINDS)),
  );
  const line = h('div', { class: 'numbers' }),
    note = h('div', { class: 'note' }),
    fields = Object.fromEntries(Object.entries(ASKS).map(([part, asks]) => [part, number(part, ...asks)]));
  const node = h(
    'div',
    { class: 'dial window', 'data-dial': 'window' },
    h('div', { class: 't' }, h('label', { for: id, title: TITLE }, 'Training window'), kind),
    line,
    note,
  );

  function number(part, title, low, most, width) {
    return h('input', {
      class: 'numin',
      type: 'number',
      min: low,
      step: 1,
      style: `width:${width}px`,
      'aria-label': title,
      title,
      oninput: (e) => Number.isInteger(asNumber(e.target.value)) && turn({ [WINDOW[part]]: asNumber(e.target.value) }),
      onchange: (e) => Number.isInteger(asNumber(e.target.value)) || complain(WINDOW[part], `${title}: use a whole number, ${low} to ${most()}.`),
    });
  }

  /** The words of the kind with its fields between them. */
  function write(now) {
    if (line.dataset.kind === now) return;
    line.dataset.kind = now;
    const [, words] = KINDS[now] ?? MORE_KINDS[now] ?? ['', ''];
    line.replaceChildren(...words.split(/\{(\w+)\}/).map((part, i) => (i % 2 ? fields[part] : part.trim() && h('span', {}, part.trim()))).filter(Boolean));
  }

  function paint() {
    const { head } = state;
    kind.disabled = !turnable();
    for (const [part, field] of Object.entries(fields)) {
      field.disabled = !turnable();
      field.max = ASKS[part][2]();
    }
    if (!head || !state.info) {
      write('full');
      return sayNote(note, '');
    }
    const now = value(WINDOW.kind);
    kind.value = now;
    write(now);
    for (const [part, field] of Object.entries(fields))
      if (document.activeElement !== field && field.value !== String(value(WINDOW[part]))) field.value = value(WINDOW[part]);
    const wait = pending(WINDOW.kind);
    const change = wait
      ? `${kindName(wait.old)} → ${kindName(wait.value)}`
      : Object.keys(ASKS)
          .map((part) => [part, pending(WINDOW[part])])
          .filter(([, w]) => w)
          .map(([part, w]) => `${{ size: 'w', stride: 'd', interval: 'τ' }[part]} ${w.old} → ${w.value}`)
          .join(', ');
    return lines(note, NAMES, 'Fewer steps are faster; early ones change layout.', change);
  }
  return { node, paint };
}
