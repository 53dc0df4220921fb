// The Setup screen: choose a preset, say what to work on, see what it costs, start. The server checks every field while one types.

import { $, apart, h, icon, say } from '../lib/dom.js';
import { state, on, get, post, openRun, listRuns } from '../lib/store.js';
import { schedulePanel } from './schedule/panel.js';
import { advanced } from './setup/advanced.js';
import { budget } from './setup/budget.js';
import { cards } from './setup/cards.js';
import { openLoad, openSave } from './setup/dialogs.js';
import { takeDrops } from './setup/drop.js';
import { control, field } from './setup/fields.js';
import { form, open, load, choose, usable, reset, changes, changed, check, draw, freeName, labelOf, set } from './setup/form.js';
import { findTrial } from './setup/measure.js';
import { modelBox, modelTitle } from './setup/model.js';
import { promptBox } from './setup/prompts.js';
import { rewardBox } from './setup/rewards.js';

let root;

export async function setup(place) {
  root = place;
  await open();
  root.append(left(), right());
  takeDrops(root, (files) => form.takePictures(files));
  form.draws.push(drawHead, drawProblems);
  await findTrial();
  changed();
  on('screen', () => state.screen === 'setup' && refresh());
  on('draft', takeDraft);
  on('preset', takePreset);
  takePreset();
  if (state.draft) takeDraft();
}

/** Settings that another screen hands over, as Runs does with Duplicate to Setup. */
function takeDraft() {
  if (!state.draft) return;
  load({ kind: 'draft', name: state.draft.name, title: `A copy of ${state.draft.name}`, values: state.draft.values });
  state.draft = null;
}

/** A shipped preset that another screen chose, as the Lesson does to begin its own first run. */
function takePreset() {
  const wanted = usable().find((p) => p.kind === 'preset' && p.name === state.preset);
  state.preset = null;
  if (wanted) choose(wanted);
}

/** Back on this screen: what was measured and which names are free may have changed. */
async function refresh() {
  form.known = await get('/api/presets');
  await listRuns();
  await findTrial();
  check();
  draw();
}

async function start() {
  if (form.starting) return;
  const wrong = Object.keys(form.problems)[0];
  if (wrong !== undefined) return showField(wrong);
  form.starting = true;
  form.said = '';
  draw();
  try {
    const { run } = await post('/api/runs', { config: form.values, name: form.name });
    await listRuns();
    form.name = freeName(form.name);
    openRun(run);
    window.manymodes.show('live');
  } catch (problem) {
    form.problems = { ...form.problems, [problem.field || 'name']: problem.message.replace(/^\w+: /, '') };
  }
  form.starting = false;
  changed();
  return undefined;
}

/** Let it wait for the runs before it; Runs shows the queue. */
async function queue() {
  const wrong = Object.keys(form.problems)[0];
  if (wrong !== undefined) return showField(wrong);
  try {
    const { run, starts } = await post('/api/queue', { config: form.values, name: form.name });
    await listRuns();
    form.name = freeName(form.name);
    form.said = starts ? `${run} starts, as no other run is at work. Live shows it.` : `${run} waits in the queue, which Runs shows.`;
  } catch (problem) {
    form.problems = { ...form.problems, [problem.field || 'name']: problem.message.replace(/^\w+: /, '') };
  }
  return changed();
}

/** Bring a field into view and focus, also out of a folded group. */
function showField(name) {
  const box = root.querySelector(`[data-field="${name}"]`);
  const fold = box?.closest('details');
  if (fold) fold.open = true;
  box?.querySelector('input:not([type=radio]):not([hidden]), textarea, select, input')?.focus();
}

// --- page ---------------------------------------------------------------------------------------------------------
function left() {
  const name = h('input', {
    class: 'text',
    'aria-label': 'Name of the run',
    maxlength: 60,
    spellcheck: 'false',
    autocomplete: 'off',
    oninput: (e) => {
      form.name = e.target.value;
      changed();
    },
  });
  form.draws.push(() => {
    if (document.activeElement !== name) name.value = form.name;
  });
  return h(
    'div',
    { class: 'left' },
    h(
      'div',
      { class: 'top' },
      h('h1', {}, 'New run'),
      field('name', name),
      h(
        'div',
        { class: 'r' },
        h('button', { class: 'btn', onclick: () => window.manymodes.show('lesson') }, 'Watch the lesson'),
        h('button', { class: 'btn', id: 'mm-load-setup', onclick: openLoad }, 'Load a setup'),
      ),
    ),
    h('h2', { class: 'q', id: 'mm-q' }, 'Start from', h('small', {}, 'each block is a denoising step, from noisy (left) to clean (right)')),
    cards(),
    h('div', { class: 'trio' }, modelBox(), promptBox(), rewardBox()),
    advanced(),
  );
}

function right() {
  const schedule = h('div', { class: 'pic' });
  const showSchedule = schedulePanel(schedule, () => form.values, set);
  form.draws.push(() => form.checked?.schedule && showSchedule());
  return h(
    'aside',
    { class: 'right', 'aria-label': 'Time, memory, start' },
    h(
      'div',
      { class: 'in' },
      h('div', { class: 'hd' }, h('h2', { class: 'ti', dir: 'auto' }), h('span', { class: 'sub ch' })),
      h(
        'div',
        { class: 'acts changed' },
        h('button', { class: 'btn sm', id: 'mm-reset', onclick: reset }, 'Reset'),
        h('button', { class: 'btn sm', id: 'mm-save-preset', onclick: openSave }, 'Save as preset'),
      ),
      schedule,
      budget(),
    ),
    h(
      'div',
      { class: 'go' },
      control('iterations'),
      h(
        'div',
        { class: 'launch' },
        h(
          'button',
          { class: 'start', id: 'mm-start', onclick: start },
          h('span', { class: 'ic' }, icon('play')),
          h('span', { class: 'word' }),
          h('kbd', {}, 'Ctrl ⏎'),
        ),
        h('button', { class: 'btn', id: 'mm-queue', title: 'Starts by itself once the runs before it are done', onclick: queue }, 'Queue'),
      ),
      h('p', { class: 'hint' }),
    ),
  );
}

function drawHead() {
  const n = changes().length;
  say($('.ti', root), `${apart(form.base.title)}${n ? `, ${n} ${n === 1 ? 'change' : 'changes'}` : ''}`);
  say($('.ch', root), `on ${modelTitle(String(form.values.model ?? ''))}`);
  $('.ti', root).title = changes().map(labelOf).join(', ');
  $('.acts.changed', root).classList.toggle('none', !n);
  const wrong = Object.keys(form.problems)[0],
    button = $('#mm-start', root);
  say($('.word', button), form.starting ? 'Starting' : wrong !== undefined ? `Check: ${labelOf(wrong) || 'settings'}` : 'Start training');
  button.setAttribute('aria-disabled', String(wrong !== undefined || form.starting));
  say($('.go .hint', root), wrong !== undefined ? form.problems[wrong] : form.said || 'You can turn every dial, pause and stop while it runs.');
}

function drawProblems() {
  for (const box of root.querySelectorAll('[data-field]')) {
    const problem = form.problems[box.dataset.field] || '';
    say($('.wrong', box), problem);
    for (const input of box.querySelectorAll('input, textarea, select'))
      problem ? input.setAttribute('aria-invalid', 'true') : input.removeAttribute('aria-invalid');
  }
}
