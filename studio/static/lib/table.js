// The numbers behind a chart, for those who read rather than look.

import { $, h, say } from './dom.js';
import { on } from './store.js';

const MOST = 500; // newest rows shown

/** A table of the column names `head` and `rows` of plain values. */
export function table(head, rows) {
  const line = (values, kind, more = {}) =>
    h(
      'tr',
      {},
      values.map((value) => h(kind, more, String(value))),
    );
  return h(
    'table',
    {},
    h('thead', {}, line(head, 'th', { scope: 'col' })),
    h(
      'tbody',
      {},
      rows.map((row) => line(row, 'td')),
    ),
  );
}

/** A button in the panel's head that lays a table over its plot. `read()` gives {head, rows}. */
export function tableButton(root, read) {
  const title = $('.hd h2', root).textContent;
  const box = h('div', { class: 'table', role: 'region', 'aria-label': `${title}, table`, tabindex: 0, hidden: true });
  const button = h('button', { class: 'btn sm ghost quiet', onclick: () => toggle(box.hidden) });
  $('.hd', root).append(h('div', { class: 'r' }, button));
  $('.plot', root).after(box);

  function toggle(open) {
    box.hidden = !open;
    $('.plot', root).style.visibility = open ? 'hidden' : '';
    name(open);
    if (open) draw();
  }
  /** The word is what a press shows; there are several such buttons, so a name says of which chart. */
  function name(open) {
    const word = open ? 'Chart' : 'Table';
    say(button, word);
    button.setAttribute('aria-label', `${word} of ${title}`);
  }
  function draw() {
    if (box.hidden) return;
    const { head, rows } = read();
    box.replaceChildren(table(head, rows.slice(-MOST).reverse()));
  }
  on('rows view run', draw);
  name(false);
}
