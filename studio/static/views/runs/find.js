// What to look for among many runs: words, a state, an order. Remembered in this tab.

import { h } from '../../lib/dom.js';
import { arranged, ORDERS, STATES } from './arranged.js';

const STORED = 'manymodes.find';

/** {node, arranged(runs), narrowed(), clear()}; `changed()` is called when something else is looked for. */
export function finder(changed) {
  const wish = { text: '', state: 'all', order: 'newest', ...JSON.parse(sessionStorage.getItem(STORED) || '{}') };
  const text = h('input', { type: 'search', id: 'mm-find-runs', class: 'text', placeholder: 'Search', 'aria-label': 'Search runs', title: 'Search runs  /', autocomplete: 'off', spellcheck: 'false' });
  const choice = (name, label, from) =>
    h('select', { class: 'sel', 'aria-label': label, onchange: (e) => turn({ [name]: e.target.value }) }, ...Object.entries(from).map(([key, [words]]) => h('option', { value: key }, words)));
  const state = choice('state', 'State', STATES),
    order = choice('order', 'Order', ORDERS);

  function turn(what) {
    Object.assign(wish, what);
    sessionStorage.setItem(STORED, JSON.stringify(wish));
    show();
    changed();
  }
  function show() {
    if (text.value !== wish.text) text.value = wish.text;
    state.value = wish.state;
    order.value = wish.order;
  }
  text.addEventListener('input', () => turn({ text: text.value }));
  text.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      event.preventDefault();
      if (text.value) turn({ text: '' });
      else text.blur();
    } else if (event.key === 'ArrowDown' || event.key === 'Enter') {
      event.preventDefault();
      document.querySelector('.mm-runs .list .name:not(:disabled)')?.focus();
    }
  });
  show();
  return {
    node: h('div', { class: 'find', role: 'search' }, text, state, order),
    arranged: (runs) => arranged(runs, wish),
    narrowed: () => Boolean(wish.text.trim()) || wish.state !== 'all',
    clear: () => turn({ text: '', state: 'all' }),
  };
}
