// The run's name in the strip: choose another run, or give this one another name in place.

import { $, h, icon, say } from '../../lib/dom.js';
import { state, listRuns, openRun, post, runPath } from '../../lib/store.js';

const BUSY = 'Stop the run to rename it: its trainer writes into the folder of that name.';

export function runName() {
  const select = h('select', {
    id: 'mm-run',
    'aria-label': 'Run',
    onchange: (e) => openRun(e.target.value),
    onpointerdown: listRuns,
    onfocus: listRuns,
  });
  const field = h('input', { id: 'mm-rename', class: 'rename', 'aria-label': 'Rename the run', maxlength: 60, spellcheck: 'false', autocomplete: 'off', hidden: true });
  const pencil = h('button', { class: 'pencil', id: 'mm-rename-button', 'aria-label': 'Rename the run', onclick: begin }, icon('pencil', 14));
  const told = h('p', { class: 'told', id: 'mm-rename-told', role: 'alert', hidden: true });
  const box = h('div', { class: 'name' }, select, field, pencil, told);
  let of = null;

  function begin() {
    if (state.head?.alive) return tell(BUSY);
    of = state.run;
    field.value = of;
    open(true);
    field.focus();
    return field.select();
  }
  function open(yes) {
    if (yes) tell('');
    else of = null; // first: hiding the field takes its focus away, which would send it
    field.hidden = !yes;
    select.hidden = pencil.hidden = yes;
  }
  function tell(sentence) {
    say(told, sentence);
    told.hidden = !sentence;
    if (sentence) setTimeout(() => told.textContent === sentence && tell(''), 6000);
  }
  async function commit() {
    const from = of,
      to = field.value.trim();
    if (!from || to === from) return open(false);
    of = null; // losing the focus must not send it twice
    try {
      const { run } = await post(runPath('rename'), { to });
      open(false);
      await listRuns();
      openRun(run);
    } catch (problem) {
      of = from;
      tell(problem.message);
      field.focus();
    }
    return undefined;
  }
  field.addEventListener('keydown', (e) => {
    if (e.key === 'Enter') commit();
    if (e.key === 'Escape') {
      open(false);
      pencil.focus();
    }
  });
  field.addEventListener('blur', () => document.hasFocus() && told.hidden && commit());

  /** The list and the choice, as they are now. */
  function draw() {
    const names = state.runs.map((r) => r.name);
    if (state.run && !names.includes(state.run)) names.unshift(state.run);
    const key = names.join('\n');
    if (select.dataset.key !== key) {
      select.dataset.key = key;
      select.replaceChildren(...names.map((n) => h('option', { value: n }, n === state.run && state.replay ? 'The lesson’s run' : n)));
    }
    select.value = state.run ?? '';
    if (of && of !== state.run) open(false);
    const writing = !field.hidden;
    select.hidden = !state.run || writing;
    pencil.hidden = !state.run || writing || Boolean(state.head?.watched) || state.replay;
    pencil.title = state.head?.alive ? BUSY : 'Rename the run';
  }
  return { box, draw };
}
