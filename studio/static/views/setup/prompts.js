// What to draw: one prompt a line, or a ready list; how many there are, and how many are repeated.

import { h, say } from '../../lib/dom.js';
import { form, set, setAll } from './form.js';
import { control, field } from './fields.js';
import { takesPrompts } from './model.js';

export function promptBox() {
  const text = h('textarea', {
    'aria-label': 'Prompts, one a line',
    placeholder: 'One prompt a line',
    spellcheck: 'false',
    dir: 'auto',
    rows: 5,
    oninput: (e) =>
      set(
        'prompts',
        e.target.value.split('\n').filter((l) => l.trim()),
      ),
  });
  const lists = form.known.lists;
  const ready = h(
    'select',
    { class: 'sel', 'aria-label': 'Ready lists', onchange: () => pick(lists[ready.value]) },
    h('option', { value: '' }, 'Ready lists'),
    lists.map((l, i) => h('option', { value: i, title: l.source }, `${l.title} (${l.prompts.length})`)),
  );
  const count = h('p', { class: 'said', title: 'Duplicates are kept and counted apart.' });
  const pick = (list) => {
    if (!list) return;
    const P = Math.min(Number(form.values.prompts_per_iteration) || 1, list.prompts.length);
    setAll({ prompts: list.prompts, prompts_per_iteration: P });
  };
  form.draws.push(() => {
    const prompts = form.values.prompts || [];
    if (document.activeElement !== text && text.value !== prompts.join('\n')) text.value = prompts.join('\n');
    const same = lists.findIndex((l) => l.prompts.length === prompts.length && l.prompts.every((p, i) => p === prompts[i]));
    ready.value = same < 0 ? '' : String(same);
    say(count, takesPrompts() ? counted(prompts) : 'This model takes no prompt; the lines only name its groups.');
  });
  return h(
    'div',
    { class: 'box' },
    h('h2', {}, 'Prompts', h('span', { class: 'r' }, ready)),
    field('prompts', text, count),
    control('prompts_per_iteration'),
    control('group_size'),
  );
}

/** "45 prompts, 2 of them repeats": duplicates are kept and counted apart. */
export function counted(prompts) {
  const repeats = prompts.length - new Set(prompts.map((p) => p.trim())).size;
  const n = `${prompts.length} ${prompts.length === 1 ? 'prompt' : 'prompts'}`;
  return repeats ? `${n}, ${repeats} of them ${repeats === 1 ? 'a repeat' : 'repeats'}` : n;
}
