// What to draw: one prompt a line, a ready list, or a file; how many there are, and how many are repeated.

import { h, say } from '../../lib/dom.js';
import { post } from '../../lib/store.js';
import { form, set, setAll, draw } from './form.js';
import { control, field } from './fields.js';
import { takesPrompts } from './model.js';

const LARGEST = 8 * 2 ** 20; // bytes
let note = { of: null, words: '', wrong: false }; // what was said of a file, until the prompts change

/** Take the prompts of a file: text with one a line, a table with a column for them, or JSON. */
export async function takePrompts(file) {
  if (!file) return;
  const wrong = (words) => ({ of: form.values.prompts, words, wrong: true });
  if (file.size > LARGEST) note = wrong(`${file.name} is larger than 8 MB. Take some of its lines.`);
  else
    try {
      const { prompts, left } = await post('/api/prompts/read', { name: file.name, text: await file.text() });
      pick(prompts);
      note = { of: prompts, words: left ? `the first of ${prompts.length + left} in ${file.name}` : `from ${file.name}`, wrong: false };
    } catch (problem) {
      note = wrong(problem.message.replace(/^\w+: /, ''));
    }
  draw();
}

const inLines = (text) => text.split('\n').filter((l) => l.trim());

function pick(prompts) {
  setAll({ prompts, prompts_per_iteration: Math.min(Number(form.values.prompts_per_iteration) || 1, prompts.length) });
}

export function promptBox() {
  const text = h('textarea', {
    'aria-label': 'Prompts, one a line',
    placeholder: 'One prompt a line',
    spellcheck: 'false',
    dir: 'auto',
    rows: 5,
    oninput: (e) => set('prompts', inLines(e.target.value)),
  });
  const lists = form.known.lists;
  const ready = h(
    'select',
    { class: 'sel', 'aria-label': 'Ready lists', onchange: () => lists[ready.value] && pick(lists[ready.value].prompts) },
    h('option', { value: '' }, 'Ready lists'),
    lists.map((l, i) => h('option', { value: i, title: l.source }, `${l.title} (${l.prompts.length})`)),
  );
  const count = h('p', { class: 'said', role: 'status', title: 'Duplicates are kept and counted apart.' });
  const file = h('input', {
    type: 'file',
    accept: '.txt,.csv,.tsv,.json,.jsonl,.ndjson',
    hidden: true,
    onchange: () => {
      takePrompts(file.files[0]);
      file.value = '';
    },
  });
  const choose = h(
    'button',
    { class: 'btn sm', title: 'Text with one prompt a line, CSV or TSV with a column called prompt, or JSON. A file can be dropped here too.', onclick: () => file.click() },
    'From a file',
  );
  form.draws.push(() => {
    const prompts = form.values.prompts ?? [];
    if (inLines(text.value).join('\n') !== prompts.join('\n')) text.value = prompts.join('\n'); // never under a typing hand
    const same = lists.findIndex((l) => l.prompts.length === prompts.length && l.prompts.every((p, i) => p === prompts[i]));
    ready.value = same < 0 ? '' : String(same);
    const told = note.of === prompts ? note.words : '',
      wrong = Boolean(told) && note.wrong;
    const plain = takesPrompts() ? [counted(prompts), told].filter(Boolean).join(', ') : 'This model takes no prompt; the lines only name its groups.';
    say(count, wrong ? told : plain);
    count.classList.toggle('off', wrong);
  });
  return h(
    'div',
    { class: 'box' },
    h('h2', {}, 'Prompts', h('span', { class: 'r' }, ready)),
    field('prompts', text, h('div', { class: 'from' }, count, choose, file)),
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
