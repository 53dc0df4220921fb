// The numbers behind a chart, for those who read rather than look.

import { $, h } from './dom.js';
import { on } from './store.js';

const MOST = 500; // newest rows shown

/** A button in the panel's head that lays a table over its plot. `read()` gives {head, rows}. */
export function tableButton(root, read) {
  const box = h('div', { class: 'table', tabindex: 0, hidden: true });
  const button = h('button', { class: 'btn sm ghost', 'aria-pressed': 'false', onclick: () => toggle(box.hidden) }, 'Table');
  $('.hd', root).append(h('div', { class: 'r' }, button));
  $('.plot', root).after(box);

  function toggle(open) {
    box.hidden = !open;
    $('.plot', root).style.visibility = open ? 'hidden' : '';
    button.setAttribute('aria-pressed', String(open));
    button.textContent = open ? 'Chart' : 'Table';
    if (open) draw();
  }
  function draw() {
    if (box.hidden) return;
    const { head, rows } = read();
    box.replaceChildren(
      h(
        'table',
        {},
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            head.map((c) => h('th', { scope: 'col' }, c)),
          ),
        ),
        h(
          'tbody',
          {},
          rows
            .slice(-MOST)
            .reverse()
            .map((r) =>
              h(
                'tr',
                {},
                r.map((c) => h('td', {}, String(c))),
              ),
            ),
        ),
      ),
    );
  }
  on('rows view run', draw);
}
