// Which weights stand left and right, and what is happening to the pictures that are missing.

import { $, h, hear, icon, say } from '../../lib/dom.js';
import { state, on, listRuns } from '../../lib/store.js';
import { ask, change, exact, model } from './model.js';

export function sides(root) {
  const left = h('select', { class: 'sel', 'aria-label': 'Left side', onchange: (e) => pickLeft(e.target.value), onpointerdown: listRuns, onfocus: listRuns });
  const right = h('select', { class: 'sel', 'aria-label': 'Right side', onchange: (e) => pickRight(e.target.value) });
  const words = h('span', { class: 'words' }),
    heard = h('span', { class: 'sr', 'aria-live': 'polite' });
  const again = h('button', { class: 'btn sm', hidden: true, onclick: () => ask({ retry: true }) }, 'Try again');
  const sign = h('span', { class: 'sign' });
  root.append(
    h('label', {}, h('i', { class: 'mark b' }), h('span', {}, 'Left'), left),
    h('label', {}, h('i', { class: 'mark t' }), h('span', {}, 'Right'), right),
    sign,
    words,
    heard,
    again,
  );
  const draw = () => {
    fill(left, leftChoices(), model.other ? `run:${model.other}` : String(model.left[0]));
    fill(right, rightChoices(), model.take !== null ? 'take' : String(model.right[0]));
    $('.mark', root).classList.toggle('t', model.left[0] !== 0 || Boolean(model.other));
    const told = status();
    say(words, told.words);
    hear(heard, told.words);
    words.title = told.details ?? '';
    root.classList.toggle('failed', Boolean(told.wrong));
    again.hidden = !told.again;
    const kind = told.wrong ? 'warn' : told.words && !told.calm ? 'clock' : '';
    if (sign.dataset.kind !== kind) {
      sign.dataset.kind = kind;
      sign.replaceChildren(...(kind ? [icon(kind, 14)] : []));
    }
  };
  on('compare head runs', draw);
  draw();
}

function pickLeft(value) {
  if (value.startsWith('run:')) return change({ other: value.slice(4), left: [-1, 100] });
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
  const others = state.runs.filter((r) => r.name !== state.run && !r.watched && r.iteration > 0).map((r) => [`run:${r.name}`, r.name]);
  if (model.other && !others.some(([v]) => v === `run:${model.other}`)) others.push([`run:${model.other}`, model.other]);
  return [['', [['0', 'Base model'], ...own, ...saved]], ['Newest weights of', others]];
}

function rightChoices() {
  const saved = (model.shown?.checkpoints ?? []).slice().reverse();
  const now = state.head?.alive && !state.head.watched ? state.head.iteration : 0;
  const choices = saved.map(named);
  if (model.right[0] > 0 && !saved.includes(model.right[0])) choices.unshift(named(model.right[0]));
  if (now > (saved[0] ?? 0)) choices.unshift(['take', model.take === null ? `Now, iteration ${now}` : `Now, from iteration ${model.take}`]);
  else if (model.take !== null) choices.unshift(['take', 'Now']);
  if (!choices.length || model.right[0] < 0) choices.push(['-1', 'Newest weights']);
  return [['', choices]];
}

/** Options are exchanged only when they change, so that an open list stays open. */
function fill(select, groups, value) {
  const key = JSON.stringify(groups);
  if (select.dataset.key !== key && document.activeElement !== select) {
    select.dataset.key = key;
    const options = (list) => list.map(([v, words]) => h('option', { value: v }, words));
    select.replaceChildren(...groups.filter(([, list]) => list.length).flatMap(([label, list]) => (label ? h('optgroup', { label }, options(list)) : options(list))));
  }
  if (select.value !== value) select.value = value;
}

/** {words, wrong, again, calm}: one sentence about what is missing. */
function status() {
  if (model.wrong) return { words: model.wrong, wrong: true };
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
  if (!changed.left || !changed.right) {
    const done = Math.min(...changed.drawn);
    return { words: maker.state === 'ready' ? `Measuring, ${done} of ${n} seeds` : maker.words };
  }
  if (maker.state === 'idle') return { words: '' };
  const measured = shown.prompts.filter((p) => p.left && p.right).length;
  return { words: maker.state === 'ready' ? `Measuring every prompt, ${measured} of ${shown.prompts.length}` : maker.words };
}
