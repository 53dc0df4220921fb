// The Map menu: how the map is laid out, the base pictures on or off, the numbers as a table.

import { h, icon } from '../../lib/dom.js';
import { on, state, view } from '../../lib/store.js';

/** {node: the heading with its menu, base(): are base pictures shown}. `changed()` after a choice, `table(button)` opens the table. */
export function mapMenu(changed, table) {
  const radio = (value, label) => {
    const input = h('input', { type: 'radio', name: 'mm-layout', value, onchange: () => view({ layout: value }) });
    return { input, label: h('label', {}, input, label) };
  };
  const umap = radio('umap', 'UMAP, keeps neighbours together');
  const pca = radio('pca', 'PCA, keeps directions straight');
  const base = h('input', { type: 'checkbox', id: 'mm-base', checked: true, onchange: changed });
  const box = h(
    'div',
    { class: 'menu', popover: 'auto', id: 'mm-map-menu', role: 'group', 'aria-label': 'Map' },
    h('fieldset', {}, h('legend', {}, 'Laid out by'), umap.label, pca.label),
    h('label', {}, base, 'Base pictures', h('kbd', {}, 'B')),
    h(
      'button',
      {
        class: 'btn sm',
        onclick: () => {
          box.hidePopover();
          table();
        },
      },
      'Show as table',
    ),
  );
  const button = h('button', { class: 'name', popovertarget: 'mm-map-menu', title: 'Layout, base pictures, table' }, 'Map', icon('chevron', 12));
  box.addEventListener('beforetoggle', () => {
    const { left, bottom } = button.getBoundingClientRect();
    box.style.left = `${left - 4}px`;
    box.style.top = `${bottom + 4}px`;
  });

  function draw() {
    const { base: known, all } = state;
    umap.input.disabled = all || !known?.umap;
    umap.label.title = all ? 'All prompts share one plane, made by PCA.' : known?.umap ? '' : 'Not laid out yet.';
    umap.input.checked = known?.method === 'umap';
    pca.input.checked = known?.method === 'pca';
  }
  on('base', draw);
  return { node: h('h2', {}, button, box), base: () => base.checked };
}
