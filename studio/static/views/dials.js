// The live dials: each row shows what is in force, what waits, and from which iteration it acts.

import { $, h, say, svg, diamond, plain, clamp } from '../lib/dom.js';
import { state, on, command, post, runPath, poll } from '../lib/store.js';
import { scheduleMap, inWords } from './schedule.js';
import { redraw } from './live.js';

const GATHER = 400; // milliseconds: turns within it travel as one command
const ROWS = [
  {
    name: 'creative_beta',
    label: 'Diversity bonus',
    symbol: 'β',
    low: 0,
    high: 3,
    step: 0.05,
    digits: 2,
    usual: () => 0.5,
    help: 'Pays extra for rare looks.',
  },
  {
    name: 'sa_reg_steps',
    label: 'Leash length',
    symbol: 'K',
    low: 0,
    high: null,
    step: 1,
    digits: 0,
    usual: (c) => Math.round(c.steps / 3),
    help: 'First steps held near the base model.',
  },
  {
    name: 'learning_rate',
    label: 'Learning rate',
    symbol: '',
    low: 1e-6,
    high: 1e-2,
    log: true,
    usual: (c) => c.learning_rate,
    help: 'How far each update goes.',
    more: true,
  },
  {
    name: 'noise_level',
    label: 'Noise level',
    symbol: 'a',
    low: 0.05,
    high: 1.2,
    step: 0.05,
    digits: 2,
    usual: (c) => c.noise_level,
    help: 'How much the sampler explores.',
    more: true,
  },
  {
    name: 'pull',
    label: 'Pull to base',
    symbol: '',
    low: 0,
    high: 0.2,
    step: 0.005,
    digits: 3,
    usual: (c) => c.pull,
    help: 'Weight of the KL to the base model.',
    more: true,
  },
];
const STRENGTH = { name: 'sa_reg_weight', label: 'Leash strength', symbol: 'w', help: 'auto spends the budget of a light KL.' };
const rows = {};
let gathered = {},
  flying = {},
  landed = false,
  sending = null,
  problem = {};

// Values come from a run folder that anyone may have written: only plain numbers and words reach a chart.
const shown = (value) =>
  typeof value === 'number'
    ? plain(value)
    : String(value)
        .replace(/[^\w .-]/g, '')
        .slice(0, 12);
const known = (name) => [...ROWS, STRENGTH].find((r) => r.name === name) ?? { label: '', symbol: '' };
/** "β 0.5": the short mark on a time axis. */
export const turnMark = (turn) => `${known(turn.name).symbol || known(turn.name).label} ${shown(turn.new)}`;
/** "Diversity bonus 0 to 0.5". */
export const turnText = (turn) => `${known(turn.name).label} ${shown(turn.old)} to ${shown(turn.new)}`;

export function dials(root) {
  const fixedNote = h('dl', { class: 'fixed' });
  const more = h(
    'details',
    { class: 'more' },
    h('summary', {}, 'More dials', h('span', { class: 'sum' })),
    ROWS.filter((r) => r.more).map(make),
    leashStrength(),
  );
  root.append(
    h('div', { class: 'hd' }, h('h2', {}, 'Dials'), h('span', { class: 'sub' }, 'each takes effect next iteration')),
    h('div', { class: 'rows' }, ROWS.filter((r) => !r.more).map(make)),
    more,
    h(
      'div',
      { class: 'sched' },
      h('div', { class: 'hd' }, h('h2', {}, 'Schedule map'), h('span', { class: 'sub' }, 'where the dials act')),
      h('div', { class: 'pic' }),
      h('p', { class: 'read' }),
    ),
    h('div', { class: 'set' }, h('h3', {}, 'Fixed when the run started'), fixedNote),
  );
  const draw = () => {
    for (const { changes, answer } of state.head?.refused ?? [])
      for (const n of Object.keys(changes)) problem[n] ??= answer.replace(/^\w+: /, '');
    if (landed) [flying, landed] = [{}, false];
    for (const row of ROWS) paint(row);
    paintLeashStrength();
    paintFixed(fixedNote);
    paintSchedule(root);
    const now = state.head?.dials;
    say($('.sum', more), now ? `learning rate ${plain(now.learning_rate)}, noise ${plain(now.noise_level)}` : '');
  };
  redraw(root, 'head info run theme', draw);
  on('run', () => {
    [gathered, flying, problem] = [{}, {}, {}];
  });
}

function make(row) {
  const id = `mm-dial-${row.name}`;
  const number = h('input', {
    class: 'numin',
    inputmode: 'decimal',
    autocomplete: 'off',
    onchange: (e) => turn(row, Number(e.target.value.replace(',', '.').replace('−', '-'))),
  });
  const range = h('input', {
    type: 'range',
    id,
    min: 0,
    max: 1000,
    step: 1,
    oninput: (e) => turn(row, fromTrack(row, Number(e.target.value))),
    ondblclick: () => turn(row, row.usual(state.info.config)),
  });
  const label = h('label', { for: id }),
    ghost = h('span', { class: 'was', hidden: true }),
    tick = h('span', { class: 'tick' }),
    note = h('div', { class: 'note' });
  rows[row.name] = { number, range, label, ghost, tick, note };
  return h(
    'div',
    { class: 'dial', 'data-dial': row.name },
    h('div', { class: 't' }, label, number),
    h('div', { class: 'track' }, ghost, range, tick),
    note,
  );
}

const high = (row) => row.high ?? state.info?.config.steps ?? 10;
const share = (row, v) =>
  clamp(row.log ? Math.log(v / row.low) / Math.log(high(row) / row.low) : (v - row.low) / (high(row) - row.low), 0, 1);
function fromTrack(row, track) {
  if (row.log) return +(row.low * (high(row) / row.low) ** (track / 1000)).toPrecision(2);
  return track * row.step + row.low;
}
const toTrack = (row, v) => (row.log ? Math.round(share(row, v) * 1000) : Math.round((v - row.low) / row.step));
const write = (row, v) => (row.digits == null ? plain(v) : v.toFixed(row.digits));

function turn(row, value) {
  if (!state.head?.alive) return;
  if (!Number.isFinite(value)) {
    problem[row.name] = `${row.label} is not a number. Use ${row.low} to ${high(row)}.`;
    return paint(row);
  }
  delete problem[row.name];
  send(row.name, row.log ? value : +value.toFixed(6));
  return paint(row);
}

function send(name, value) {
  gathered[name] = value;
  clearTimeout(sending);
  sending = setTimeout(deliver, GATHER);
}

async function deliver() {
  [flying, gathered, landed] = [gathered, {}, false];
  try {
    // one that waits already is replaced, not followed
    for (const w of state.head.waiting) {
      if (w.kind !== 'set') continue;
      const { undone } = await post(runPath('commands'), { kind: 'undo', command: w.id });
      if (undone) flying = { ...w.changes, ...flying };
    }
    const changes = Object.fromEntries(Object.entries(flying).filter(([n, v]) => v !== state.head.dials[n]));
    if (Object.keys(changes).length) await post(runPath('commands'), { kind: 'set', changes });
  } catch (wrong) {
    const name = wrong.field ?? Object.keys(flying)[0];
    problem[name] = wrong.message.replace(/^\w+: /, '');
    flying = {};
  }
  landed = true;
  poll();
}

/** What a dial will be: being turned here, waiting in the run folder, or recorded for a later iteration. */
function pending(name) {
  const { head } = state;
  const running = ['running', 'sampling'].includes(head.state) ? 2 : 1;
  const turned = { ...flying, ...gathered };
  if (name in turned)
    return turned[name] === head.dials[name] ? null : { value: turned[name], from: head.iteration + running, old: head.dials[name] };
  for (const w of [...head.waiting].reverse())
    if (w.kind === 'set' && name in w.changes)
      return { value: w.changes[name], from: head.iteration + running, old: head.dials[name], id: w.id };
  const last = head.turns.findLast((t) => t.name === name);
  if (last && last.iteration > head.iteration && head.alive) return { value: last.new, from: last.iteration, old: last.old, taken: true };
  return null;
}

async function undo(name) {
  const wait = pending(name);
  if (!wait) return;
  delete gathered[name];
  delete flying[name];
  if (wait.taken) return send(name, wait.old);
  const rest = state.head.waiting.find((w) => w.id === wait.id);
  if (!rest) return paint(ROWS.find((r) => r.name === name));
  const { undone } = await command({ kind: 'undo', command: wait.id });
  const others = Object.fromEntries(Object.entries(rest.changes).filter(([n]) => n !== name));
  if (undone && Object.keys(others).length) await command({ kind: 'set', changes: others });
  return undefined;
}

function paint(row) {
  const part = rows[row.name],
    { head, info } = state;
  part.range.disabled = part.number.disabled = !head?.alive;
  part.range.max = row.log ? 1000 : Math.round((high(row) - row.low) / row.step);
  name(part.label, row);
  if (!head || !info) {
    part.number.value = '';
    part.range.value = 0;
    part.range.style.setProperty('--p', at(0));
    part.ghost.hidden = true;
    return note(part.note, row.help);
  }
  const wait = pending(row.name),
    value = wait ? wait.value : head.dials[row.name];
  if (document.activeElement !== part.number) part.number.value = write(row, value);
  part.number.setAttribute('aria-label', `${row.label}, number`);
  const track = toTrack(row, value);
  if (Number(part.range.value) !== track) part.range.value = track;
  part.range.style.setProperty('--p', at(share(row, value)));
  part.tick.style.left = at(share(row, row.usual(info.config)));
  const old = wait ? (wait.taken ? wait.old : head.dials[row.name]) : value;
  part.ghost.hidden = !wait || old === value;
  if (wait) part.ghost.style.left = `calc(${at(share(row, old))} - 7px)`;
  part.range.setAttribute('aria-valuetext', `${write(row, value)}${wait ? `, takes effect at iteration ${wait.from}` : ''}`);
  lines(part.note, row, wait, old);
  return undefined;
}

/** Where a thumb of 14 px stands on its track. */
const at = (s) => `calc(${(100 * s).toFixed(2)}% + ${(7 - 14 * s).toFixed(2)}px)`;

function name(label, { label: text, symbol: sign }) {
  if (label.dataset.key === text + sign) return;
  label.dataset.key = text + sign;
  label.replaceChildren(text, ' ', sign ? h('i', { class: 'sym' }, sign) : '');
}

function lines(node, row, wait, old) {
  if (problem[row.name]) return note(node, problem[row.name], 'wrong');
  if (wait) {
    const key = `${old}>${wait.value}@${wait.from}`;
    if (node.dataset.key === key) return undefined;
    node.dataset.key = key;
    node.className = 'note pend';
    const mark = svg(12, 12, `<path d="${diamond(6, 6, 4.4)}" fill="none" stroke="currentColor" stroke-width="1.5"/>`, {
      'aria-hidden': 'true',
    });
    return node.replaceChildren(
      mark,
      h('span', {}, `${write(row, old)} → ${write(row, wait.value)} from iteration ${wait.from}`),
      h('button', { onclick: () => undo(row.name) }, 'Undo'),
    );
  }
  const last = state.head.turns.findLast((t) => t.name === row.name);
  return note(node, last ? `In force since iteration ${last.iteration}.` : row.help);
}

function note(node, text, tone = '') {
  if (node.dataset.key === text) return;
  node.dataset.key = text;
  node.className = `note ${tone}`;
  node.replaceChildren(text);
}

// --- leash strength: a number, or auto -------------------------------------------------------------------------------
function leashStrength() {
  const field = h('input', {
    class: 'numin',
    id: 'mm-dial-sa_reg_weight',
    autocomplete: 'off',
    onchange: (e) => turnStrength(e.target.value.trim()),
  });
  const label = h('label', { for: 'mm-dial-sa_reg_weight' }),
    line = h('div', { class: 'note' });
  rows.sa_reg_weight = { number: field, label, note: line };
  return h('div', { class: 'dial' }, h('div', { class: 't' }, label, field), line);
}

function turnStrength(text) {
  const value = text === 'auto' ? text : Number(text.replace(',', '.'));
  if (value !== 'auto' && !(value >= 0 && value <= 100 && text !== '')) problem.sa_reg_weight = 'Write auto, or a number from 0 to 100.';
  else {
    delete problem.sa_reg_weight;
    send('sa_reg_weight', value);
  }
  paintLeashStrength();
}

function paintLeashStrength() {
  const part = rows.sa_reg_weight,
    { head } = state;
  name(part.label, STRENGTH);
  part.number.disabled = !head?.alive;
  const wait = head && pending('sa_reg_weight');
  if (document.activeElement !== part.number) part.number.value = head ? shown(wait ? wait.value : head.dials.sa_reg_weight) : '';
  if (head) lines(part.note, STRENGTH, wait, wait?.taken ? wait.old : head.dials.sa_reg_weight);
  else note(part.note, STRENGTH.help);
}

// --- below the dials -----------------------------------------------------------------------------------------------------
function paintSchedule(root) {
  const place = $('.pic', root),
    { head, info } = state;
  $('.sched', root).style.visibility = head && info ? '' : 'hidden';
  if (!head || !info) return;
  const plan = { steps: info.config.steps, trained: info.trained, leash: pending('sa_reg_steps')?.value ?? head.dials.sa_reg_steps },
    key = JSON.stringify([plan, place.clientWidth]);
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  place.replaceChildren(scheduleMap(plan, place.clientWidth || 284));
  say($('.read', root), inWords(plan));
}

function paintFixed(list) {
  const c = state.info?.config;
  const key = c ? state.run : '';
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.parentNode.style.visibility = c ? '' : 'hidden';
  if (!c) return;
  const rewards = Object.entries(c.rewards)
    .map(([n, w]) => `${n.replaceAll('_', ' ')}${w === 1 ? '' : ` × ${plain(w)}`}`)
    .join(', ');
  const rowsOf = [
    ['Reward', rewards],
    ['Prompts', c.prompts.length > 1 ? `${c.prompts.length}, ${c.prompts_per_iteration} an iteration` : '1'],
    ['Pictures per prompt', c.group_size],
    ['Steps', c.steps],
    ['LoRA rank', c.lora_rank],
    ['Seed', c.seed],
  ];
  list.replaceChildren(...rowsOf.flatMap(([n, v]) => [h('dt', {}, n), h('dd', {}, String(v))]));
}
