// The parts of a dial's row: label, number, track with ghost thumb and tick, and the line below that says what is in force.

import { h, svg, diamond, clamp } from '../../lib/dom.js';
import { state } from '../../lib/store.js';
import { write } from './rows.js';
import { complain, forgive, pending, problem, turn, turnable, undo } from './turning.js';

export const high = (row) => row.high ?? state.info?.config.steps ?? 10;
const share = (row, v) =>
  clamp(row.log ? Math.log(v / row.low) / Math.log(high(row) / row.low) : (v - row.low) / (high(row) - row.low), 0, 1);
const fromTrack = (row, track) => (row.log ? +(row.low * (high(row) / row.low) ** (track / 1000)).toPrecision(2) : track * row.step + row.low);
const toTrack = (row, v) => (row.log ? Math.round(share(row, v) * 1000) : Math.round((v - row.low) / row.step));
/** Where a thumb of 14 px stands on its track. */
export const at = (s) => `calc(${(100 * s).toFixed(2)}% + ${(7 - 14 * s).toFixed(2)}px)`;
export const ghostAt = (s) => `calc(${at(s)} - 7px)`;
export const asNumber = (text) => Number(text.trim().replace(',', '.').replace('−', '-') || NaN);

/** A row with a track: its node, and paint() to bring it up to date. `extra` goes between track and note. */
export function slider(row, extra = null) {
  const id = `mm-dial-${row.name}`;
  const set = (value) =>
    Number.isFinite(value) ? turn({ [row.name]: row.log ? value : +value.toFixed(6) }) : complain(row.name, `${row.label} is not a number. Use ${row.low} to ${high(row)}.`);
  const number = h('input', {
    class: 'numin',
    inputmode: 'decimal',
    autocomplete: 'off',
    'aria-label': `${row.label}, number`,
    onchange: (e) => set(asNumber(e.target.value)),
  });
  const range = h('input', {
    type: 'range',
    id,
    min: 0,
    max: 1000,
    step: 1,
    oninput: (e) => set(fromTrack(row, Number(e.target.value))),
    ondblclick: () => set(row.usual(state.info.config)),
  });
  const ghost = h('span', { class: 'was', hidden: true }),
    tick = h('span', { class: 'tick' }),
    note = h('div', { class: 'note' });
  const node = h(
    'div',
    { class: 'dial', 'data-dial': row.name },
    h('div', { class: 't' }, label(row, id), number),
    h('div', { class: 'track' }, ghost, range, tick),
    extra,
    note,
  );
  function paint() {
    const { head, info } = state;
    range.disabled = number.disabled = !turnable();
    range.max = row.log ? 1000 : Math.round((high(row) - row.low) / row.step);
    if (!head || !info) {
      number.value = '';
      range.value = 0;
      range.style.setProperty('--p', at(0));
      ghost.hidden = true;
      return sayNote(note, row.help);
    }
    const wait = pending(row.name),
      value = wait ? wait.value : head.dials[row.name];
    if (document.activeElement !== number) number.value = write(row, value);
    if (Number(range.value) !== toTrack(row, value)) range.value = toTrack(row, value);
    range.style.setProperty('--p', at(share(row, value)));
    const usual = row.usual(info.config);
    tick.style.left = at(share(row, usual));
    range.title = range.disabled ? '' : `The tick is ${row.start ? 'what the run started with' : 'the usual value'}, ${write(row, usual)}. Double-click goes there.`;
    ghost.hidden = !wait;
    if (wait) ghost.style.left = ghostAt(share(row, wait.old));
    range.setAttribute('aria-valuetext', `${write(row, value)}${wait ? `, takes effect at iteration ${wait.from}` : ''}`);
    return lines(note, [row.name], row.help, wait && `${write(row, wait.old)} → ${write(row, wait.value)}`);
  }
  return { node, paint, note };
}

export const label = ({ label: text, symbol, title }, id) =>
  h('label', { for: id, title }, text, ' ', symbol ? h('i', { class: 'sym' }, symbol) : '');

/** The line of a row of the dials `names`: wrong, waiting (`change` says what), in force since, or help. */
export function lines(node, names, help, change) {
  const wrong = problem(names);
  if (wrong) return sayWrong(node, wrong);
  const waits = names.map(pending).filter(Boolean);
  if (waits.length) return sayWaiting(node, change, waits[0].from, names);
  const last = state.head.turns.findLast((t) => names.includes(t.name));
  return sayNote(node, last ? `In force since iteration ${last.iteration}.` : help);
}

function fill(node, key, tone, make) {
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  node.className = `note ${tone}`;
  node.replaceChildren(...make());
}
export const sayNote = (node, text) => fill(node, text, '', () => [text]);

function sayWaiting(node, change, from, names) {
  const style = { 'aria-hidden': 'true' };
  const mark = () => svg(12, 12, `<path d="${diamond(6, 6, 4.4)}" fill="none" stroke="currentColor" stroke-width="1.5"/>`, style);
  const text = `${change} from iteration ${from}`;
  fill(node, `${names[0]} ${text}`, 'pend', () => [
    mark(),
    h('span', { class: 'what', title: text }, change),
    h('span', { class: 'when' }, ` from iteration ${from}`),
    h('button', { onclick: () => undo(names) }, 'Undo'),
  ]);
}

/** A sentence of the config may be longer than a line: it floats over the row below, so that nothing moves. */
function sayWrong(node, text) {
  fill(node, `wrong ${text}`, 'wrong', () => [
    h('span', { class: 'float', role: 'status' }, text, ' ', h('button', { onclick: forgive }, 'Close')),
  ]);
}
