// Which prompt the map shows: a native list, with pictures where the browser can show them in one.

import { h } from '../../lib/dom.js';
import { looksOf, state, thumb, view } from '../../lib/store.js';

const REST = 500; // prompts listed that are not on the map
const ALL = 'all';

/** {node, draw()} of the list. `changed()` hears that a prompt or all of them were chosen. */
export function promptList(changed) {
  const node = h('select', { class: 'sel', id: 'mm-prompt', 'aria-label': 'Prompt', onchange: choose });

  function choose() {
    const all = node.value === ALL;
    view(all ? { all } : { all, prompt: Number(node.value) });
    changed();
  }

  function option({ prompt, text }) {
    const first = looksOf(prompt)[0];
    const picture = first && h('img', { src: thumb(first.picture), alt: '', width: 28, height: 28, loading: 'lazy' });
    return h('option', { value: prompt }, picture, h('span', {}, text.slice(0, 80)));
  }

  function draw() {
    const all = state.info?.prompts ?? [];
    const mapped = all.filter((p) => p.mapped);
    const key = `${state.run}:${all.length}:${mapped.length}`;
    if (node.dataset.key !== key) {
      node.dataset.key = key;
      const rest = all
        .filter((p) => !p.mapped)
        .slice(0, REST)
        .map(option);
      const together = mapped.length > 1 ? [h('option', { value: ALL, class: 'all' }, `All prompts (${mapped.length})`)] : [];
      const shown = h('button', {}, h('selectedcontent')); // so that a long one ends with three dots
      node.replaceChildren(shown, ...mapped.map(option), ...together, ...(rest.length ? [h('optgroup', { label: 'Not on the map' }, rest)] : []));
    }
    node.style.visibility = all.length ? '' : 'hidden'; // an empty list is nothing to press
    const value = state.all ? ALL : String(state.prompt);
    if (node.value !== value) node.value = value;
  }
  return { node, draw };
}
