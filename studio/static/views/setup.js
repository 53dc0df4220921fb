// The Setup screen: choose a preset, say what to work on, start. The server checks every field while one types.

import { $, h, icon, say, seconds, giga, plain } from '../lib/dom.js';
import { state, on, get, post, openRun, listRuns } from '../lib/store.js';
import { modelName } from './strip.js';
import { scheduleMap, scheduleGlyph, inWords } from './schedule.js';
import { advanced, field, labelOf } from './fields.js';
import { modelBox, promptBox, rewardBox } from './boxes.js';

const WAIT = 250; // milliseconds after the last key
const DRAFT = 'manymodes.draft';

/** The form: values of the config, and everything the boxes share. */
export const form = { known: null, values: {}, name: '', preset: null, problems: {}, checked: null, draws: [] };
let root,
  timer = null,
  starting = false;

export async function setup(place) {
  root = place;
  root.setAttribute('role', 'main');
  form.known = await get('/api/presets');
  build();
  const draft = JSON.parse(sessionStorage.getItem(DRAFT) || 'null');
  const usable = form.known.presets.filter((p) => p.values);
  if (draft && usable.some((p) => p.name === draft.preset))
    Object.assign(form, { preset: draft.preset, values: draft.values, name: draft.name });
  else if (usable.length) choose(usable[0].name);
  else
    Object.assign(form, {
      preset: null,
      values: Object.fromEntries(Object.entries(form.known.fields).map(([n, f]) => [n, f.default])),
      name: form.known.name,
    });
  changed();
  on('screen', () => state.screen === 'setup' && refresh());
}

const card = (name = form.preset) => form.known.presets.find((p) => p.name === name);

function choose(name) {
  const before = form.preset && card(form.preset);
  const keep = before
    ? Object.fromEntries(
        ['model', 'prompts', 'seed']
          .filter((n) => JSON.stringify(form.values[n]) !== JSON.stringify(before.values[n]))
          .map((n) => [n, form.values[n]]),
      )
    : {};
  const renamed = form.name && !new RegExp(`^(${form.known.presets.map((p) => p.name).join('|')})-\\d+$`).test(form.name);
  form.preset = name;
  form.values = { ...structuredClone(card().values), ...keep };
  if (!renamed) form.name = freeName(name);
  changed();
}

function freeName(stem) {
  const taken = new Set([...state.runs.map((r) => r.name), ...form.known.presets.flatMap((p) => p.taken || [])]);
  let n = 1;
  while (taken.has(`${stem}-${String(n).padStart(2, '0')}`)) n++;
  return `${stem}-${String(n).padStart(2, '0')}`;
}

/** Names of fields that differ from the chosen preset. */
const changes = () =>
  form.preset ? Object.keys(form.values).filter((n) => JSON.stringify(form.values[n]) !== JSON.stringify(card().values[n])) : [];

export function set(name, value) {
  form.values = { ...form.values, [name]: value };
  changed();
}

function changed() {
  sessionStorage.setItem(DRAFT, JSON.stringify({ preset: form.preset, values: form.values, name: form.name }));
  draw();
  clearTimeout(timer);
  timer = setTimeout(check, WAIT);
}

async function check() {
  const asked = JSON.stringify([form.values, form.name]);
  const answer = await post('/api/check', { config: form.values, name: form.name }).catch(() => null);
  if (!answer || asked !== JSON.stringify([form.values, form.name])) return;
  form.problems = answer.problems;
  form.checked = answer;
  draw();
}

/** Back on this screen: what was measured and which names are free may have changed. */
async function refresh() {
  form.known = await get('/api/presets');
  await listRuns();
  drawCards();
  check();
}

async function start() {
  if (starting) return;
  const wrong = Object.keys(form.problems)[0];
  if (wrong) return $(`[data-field="${wrong}"] input, [data-field="${wrong}"] textarea, [data-field="${wrong}"] select`, root)?.focus();
  starting = true;
  draw();
  try {
    const { run } = await post('/api/runs', { config: form.values, name: form.name });
    await listRuns();
    form.name = freeName(form.preset || 'run');
    openRun(run);
    window.manymodes.show('live');
  } catch (problem) {
    form.problems = { ...form.problems, [problem.field || 'name']: problem.message.replace(/^\w+: /, '') };
  }
  starting = false;
  changed();
  return undefined;
}

// --- page ---------------------------------------------------------------------------------------------------------
function build() {
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
  root.append(
    h(
      'div',
      { class: 'left' },
      h('div', { class: 'top' }, h('h1', {}, 'New run'), field('name', name)),
      h(
        'h2',
        { class: 'q', id: 'mm-q' },
        'Start from',
        h('small', {}, 'each picture shows where the method acts, from noisy (left) to clean (right)'),
      ),
      h('div', { class: 'cards', role: 'radiogroup', 'aria-labelledby': 'mm-q' }),
      h('div', { class: 'trio' }, modelBox(), promptBox(), rewardBox()),
      advanced(),
    ),
    h(
      'aside',
      { class: 'right', 'aria-label': 'Time, memory, start' },
      h(
        'div',
        { class: 'in' },
        h(
          'div',
          { class: 'hd' },
          h('h2', { class: 'ti' }),
          h('span', { class: 'sub ch' }),
          h(
            'button',
            {
              class: 'btn sm ghost reset',
              onclick: () => {
                const n = form.preset;
                form.preset = null;
                choose(n);
              },
            },
            'Reset',
          ),
        ),
        h('div', { class: 'pic' }),
        h('p', { class: 'read' }),
        budget('time', 'Time'),
        budget('memory', 'Memory'),
      ),
      h(
        'div',
        { class: 'go' },
        numberRow('iterations'),
        h(
          'button',
          { class: 'start', id: 'mm-start', onclick: start },
          h('span', { class: 'ic' }, icon('play')),
          h('span', { class: 'word' }),
          h('kbd', {}, 'Ctrl ⏎'),
        ),
        h('p', { class: 'hint' }),
      ),
    ),
  );
  drawCards();
}

function numberRow(fieldName) {
  const input = h('input', {
    class: 'numin',
    inputmode: 'numeric',
    autocomplete: 'off',
    'aria-label': labelOf(fieldName),
    oninput: (e) =>
      set(fieldName, e.target.value.trim() === '' ? '' : Number.isFinite(Number(e.target.value)) ? Number(e.target.value) : e.target.value),
  });
  form.draws.push(() => {
    if (document.activeElement !== input) input.value = form.values[fieldName] ?? '';
  });
  return field(fieldName, h('div', { class: 'line', title: form.known.fields[fieldName].help }, h('span', {}, labelOf(fieldName)), input));
}

const budget = (id, title) =>
  h(
    'div',
    { class: `bud ${id}` },
    h('h3', {}, title, h('span', { class: 'side' })),
    h('div', { class: 'huge' }, h('span', { class: 'value' }), h('small', {})),
    h('p', { class: 'prov' }),
  );

function drawCards() {
  const box = $('.cards', root),
    known = form.known.presets;
  if (!known.length)
    return box.replaceChildren(h('p', { class: 'none' }, 'There are no presets in this copy; every field below starts from its default.'));
  return box.replaceChildren(
    ...known.map((p) => (p.values ? presetCard(p) : h('div', { class: 'pc broken' }, h('b', {}, p.name), h('p', {}, p.broken)))),
  );
}

function presetCard(p) {
  const m = p.measured,
    chosen = p.name === form.preset;
  const cost = m ? `${seconds(m.seconds)}, ${giga(m.memory)} GB` : '';
  return h(
    'button',
    {
      class: 'pc',
      role: 'radio',
      'aria-checked': String(chosen),
      tabindex: chosen ? 0 : -1,
      'data-preset': p.name,
      onclick: () => choose(p.name),
      onkeydown: walk,
    },
    scheduleGlyph(p.schedule),
    h('b', {}, p.title),
    h('p', {}, p.line),
    h('span', { class: 'ms' }, h('b', {}, cost), h('span', {}, m ? 'measured here' : 'not measured yet')),
  );
}

function walk(event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const all = [...$('.cards', root).querySelectorAll('[role=radio]')],
    next = all[(all.indexOf(event.target) + step + all.length) % all.length];
  next.click();
  next.focus();
}

/** What is paid beside the reward, in a sentence. */
function payment(plan) {
  if (form.values.creative_beta > 0) return `Bonus β ${plain(form.values.creative_beta)}.`;
  return plan.bonus ? 'Pictures unlike the others are paid.' : 'No bonus for rare looks.';
}

function draw() {
  if (!form.known) return;
  for (const pc of root.querySelectorAll('.pc[role=radio]')) {
    const chosen = String(pc.dataset.preset === form.preset);
    if (pc.getAttribute('aria-checked') !== chosen) {
      pc.setAttribute('aria-checked', chosen);
      pc.tabIndex = chosen === 'true' ? 0 : -1;
    }
  }
  for (const one of form.draws) one();
  drawProblems();
  const n = changes().length,
    title = card()?.title ?? 'Own settings';
  say($('.ti', root), title);
  say($('.ch', root), `${n ? `${n} ${n === 1 ? 'change' : 'changes'} ` : ''}on ${modelName(String(form.values.model ?? ''))}`);
  $('.ch', root).title = changes()
    .map((f) => labelOf(f))
    .join(', ');
  $('.reset', root).style.visibility = n ? '' : 'hidden';
  drawSchedule();
  drawBudget();
  const wrong = Object.keys(form.problems)[0],
    button = $('#mm-start', root);
  say($('.word', button), starting ? 'Starting' : wrong ? `Check: ${labelOf(wrong)}` : 'Start training');
  button.setAttribute('aria-disabled', String(Boolean(wrong) || starting));
  say($('.go .hint', root), wrong ? form.problems[wrong] : 'You can turn every dial, pause and stop while it runs.');
}

function drawProblems() {
  for (const box of root.querySelectorAll('[data-field]')) {
    const problem = form.problems[box.dataset.field] || '',
      line = $('.wrong', box);
    say(line, problem);
    for (const input of box.querySelectorAll('input, textarea, select'))
      problem ? input.setAttribute('aria-invalid', 'true') : input.removeAttribute('aria-invalid');
  }
}

function drawSchedule() {
  const plan = form.checked?.schedule,
    place = $('.pic', root),
    key = JSON.stringify([plan, place.clientWidth]);
  if (!plan || place.dataset.key === key || !place.clientWidth) return;
  place.dataset.key = key;
  place.replaceChildren(scheduleMap(plan, place.clientWidth));
  say($('.read', root), `${inWords(plan)} ${payment(plan)}`);
}

function drawBudget() {
  const m = form.checked?.measured,
    time = $('.bud.time', root),
    memory = $('.bud.memory', root);
  say($('.side', time), m ? `${seconds(m.pace)} per iteration` : '');
  say($('.value', time), m ? seconds(m.pace * Number(form.values.iterations || 0)) : '');
  say($('small', time), m ? `for ${form.values.iterations} iterations` : 'not measured yet');
  const fits = m && m.memory_total ? m.memory <= m.memory_total : null;
  say($('.side', memory), fits === null ? '' : fits ? 'Fits' : 'Does not fit');
  say($('.value', memory), m && m.memory ? `${giga(m.memory)} GB` : '');
  say($('small', memory), m && m.memory ? (m.memory_total ? `of ${giga(m.memory_total)} GB` : '') : 'not measured yet');
  say(
    $('.prov', time),
    m
      ? `Measured in the run ${m.run} on this computer (${m.device || 'device unknown'}).`
      : 'The first iterations of such a run show it, in the strip and then here.',
  );
}
