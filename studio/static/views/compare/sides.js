// Which weights stand left and right, and what is happening to the pictures that are missing.

import { $, h, hear, icon, say } from '../../lib/dom.js';
import { state, on, listRuns } from '../../lib/store.js';
import { exportLora } from '../runs/dialogs.js';
import { ask, change, exact, model } from './model.js';

const TOLD = 8000; // milliseconds that a word on an export stays
let said = null; // {words, wrong} of the last export

export function sides(root) {
  const left = h('select', { class: 'sel', 'aria-label': 'Left side', onchange: (e) => pickLeft(e.target.value), onpointerdown: listRuns, onfocus: listRuns });
  const right = h('select', { class: 'sel', 'aria-label': 'Right side', onchange: (e) => pickRight(e.target.value) });
  const words = h('span', { class: 'words' }),
    heard = h('span', { class: 'sr', 'aria-live': 'polite' });
  const again = h('button', { class: 'btn sm', hidden: true, onclick: () => ask({ retry: true }) }, 'Try again');
  const file = h('button', { class: 'btn sm', onclick: () => save(draw) }, 'Export LoRA');
  const sign = h('span', { class: 'sign' });
  root.append(
    h('label', {}, h('i', { class: 'mark b' }), h('span', {}, 'Left'), left),
    h('label', {}, h('i', { class: 'mark t' }), h('span', {}, 'Right'), right),
    sign,
    words,
    heard,
    again,
    file,
  );
  const draw = () => {
    fill(left, leftChoices(), model.other ? otherRun(model.other, model.left[0]) : String(model.left[0]));
    fill(right, rightChoices(), model.take !== null ? 'take' : String(model.right[0]));
    $('.mark', root).classList.toggle('t', model.left[0] !== 0 || Boolean(model.other));
    const told = status();
    say(words, told.words);
    hear(heard, told.words);
    words.title = told.details ?? '';
    root.classList.toggle('failed', Boolean(told.wrong));
    again.hidden = !told.again;
    const reason = noFile();
    file.disabled = Boolean(reason);
    file.title = reason || 'The tuned side as a file for ComfyUI, A1111 or diffusers, at this strength';
    const kind = told.wrong ? 'warn' : told.words && !told.calm ? 'clock' : '';
    if (sign.dataset.kind !== kind) {
      sign.dataset.kind = kind;
      sign.replaceChildren(...(kind ? [icon(kind, 14)] : []));
    }
  };
  on('compare head runs', draw);
  draw();
}

/** Why there is nothing to export, or null. */
function noFile() {
  if (state.replay) return 'A recorded run has no weights.';
  const [checkpoint, strength] = model.shown && exact() ? model.shown.right : [0, 0];
  if (!checkpoint || !strength) return 'Nothing tuned stands on the right.';
  return model.shown.checkpoints.includes(checkpoint) ? null : `The weights after ${checkpoint} are not kept any more.`;
}

async function save(draw) {
  let quiet = null;
  const told = (words, wrong = false) => {
    clearTimeout(quiet);
    said = words ? { words, wrong, calm: true } : null;
    draw();
    if (words) quiet = setTimeout(told, TOLD, '');
  };
  const [iteration, strength] = model.shown.right;
  await exportLora(state.run, { iteration, strength: strength / 100, told }).catch((problem) => told(problem.message.replace(/^\w+: /, ''), true));
}

const otherRun = (name, iteration = -1) => (iteration > 0 ? `run:${name}:${iteration}` : `run:${name}`);

function pickLeft(value) {
  if (value.startsWith('run:')) {
    const [, name, iteration] = value.split(':');
    return change({ other: name, left: [Number(iteration ?? -1), 100] });
  }
  return change({ other: null, left: [Number(value), 100] });
}

function pickRight(value) {
  if (value === 'take') return change({ take: state.head.iteration });
  return change({ take: null, right: [Number(value), model.right[1]] });
}

const named = (i) => [String(i), `Iteration ${i}`];

function leftChoices() {
  const saved = (model.other ? [] : (model.shown?.checkpoints ?? [])).slice().reverse().map(named);
  const own = model.left[0] > 0 && !saved.some(([v]) => v === String(model.left[0])) ? [named(model.left[0])] : [];
  const others = state.runs.filter((r) => r.name !== state.run && !r.watched && r.iteration > 0).map((r) => [otherRun(r.name), r.name]);
  if (model.other && !others.some(([v]) => v === otherRun(model.other))) others.push([otherRun(model.other), model.other]);
  const theirs = model.other && model.shown && exact() ? model.shown.left_checkpoints.slice().reverse() : [];
  if (model.other && model.left[0] > 0 && !theirs.includes(model.left[0])) theirs.unshift(model.left[0]);
  const saves = theirs.map((i) => [otherRun(model.other, i), `${model.other} at ${i}`]);
  return [['', [['0', 'Base model'], ...own, ...saved]], ['Newest weights of', others], [`Saved in ${model.other}`, saves]];
}

function rightChoices() {
  const saved = (model.shown?.checkpoints ?? []).slice().reverse();
  const now = state.head?.alive && !state.head.watched ? state.head.iteration : 0;
  const own = (i) => (model.other ? [String(i), `${state.run} at ${i}`] : named(i)); // beside another run's weights
  const choices = saved.map(own);
  if (model.right[0] > 0 && !saved.includes(model.right[0])) choices.unshift(own(model.right[0]));
  if (now > (saved[0] ?? 0)) choices.unshift(['take', model.take === null ? `Now, iteration ${now}` : `Now, from iteration ${model.take}`]);
  else if (model.take !== null) choices.unshift(['take', 'Now']);
  if (!choices.length || model.right[0] < 0) choices.push(['-1', 'Newest weights']);
  return [['', choices]];
}

/** Options are exchanged only when they change, and under the focus only where the value is none of them, so that an open list stays open. */
function fill(select, groups, value) {
  const key = JSON.stringify(groups);
  const held = document.activeElement === select && [...select.options].some((o) => o.value === value);
  if (select.dataset.key !== key && !held) {
    select.dataset.key = key;
    const options = (list) => list.map(([v, words]) => h('option', { value: v }, words));
    select.replaceChildren(...groups.filter(([, list]) => list.length).flatMap(([label, list]) => (label ? h('optgroup', { label }, options(list)) : options(list))));
  }
  if (select.value !== value) select.value = value;
}

/** {words, wrong, again, calm}: one sentence about what is missing. */
function status() {
  if (model.wrong) return { words: model.wrong, wrong: true };
  if (said) return said;
  const { shown } = model;
  if (!shown || !exact()) return { words: '' };
  const { maker, missing, changed, n } = shown;
  if (maker.problem) return { words: maker.problem, wrong: true, again: true };
  if (maker.state === 'failed') return { words: maker.words, details: maker.details, wrong: true, again: true };
  if (maker.state === 'watching') return { words: missing ? maker.words : '', calm: true };
  if (missing && maker.state !== 'ready') return { words: maker.words };
  if (missing) return { words: `Making pictures, ${missing} to go` };
  if (maker.state === 'waiting' && model.take !== null) return { words: maker.words };
  if (!shown.right[0] || !shown.right[1]) return { words: shown.right[0] ? 'At strength 0 both sides are the base model.' : 'Nothing tuned yet; at strength 0 both sides are the base model.', calm: true };
  const later = maker.words.replace(/^Pictures/, 'Measures'); // the pictures are there
  if (!changed.left || !changed.right) {
    const done = Math.min(...changed.drawn);
    return { words: maker.state === 'ready' ? `Measuring, ${done} of ${n} seeds` : later };
  }
  if (maker.state === 'idle') return { words: '' };
  const measured = shown.prompts.filter((p) => p.left && p.right).length;
  return { words: maker.state === 'ready' ? `Measuring every prompt, ${measured} of ${shown.prompts.length}` : later };
}
