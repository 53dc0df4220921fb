// What happens when a dial is turned: changes are gathered for a moment, travel as one command, wait, and come into force.

import { state, on, emit, get, post, runPath, poll } from '../../lib/store.js';
import { known } from './rows.js';

const GATHER = 400; // milliseconds: turns within it travel as one command
const FRESH = 2; // heads after an answer: the first may have been on its way before
let gathered = {},
  flying = {},
  heads = null,
  sending = null,
  delivery = null,
  refused = '',
  problems = {};

on('run', () => {
  clearTimeout(sending);
  [gathered, flying, problems, heads] = [{}, {}, {}, null];
});
on('head', () => {
  if (heads !== null && ++heads >= FRESH) [flying, heads] = [{}, null];
  const [answer] = state.head.refused;
  const said = answer ? JSON.stringify(answer) : '';
  if (said && said !== refused) refuse(answer.answer, answer.answer.split(': ')[0], Object.keys(answer.changes));
  refused = said;
});

/** Whether dials can be turned: a trainer is there, and it is driven from here. */
export const turnable = (head = state.head) => Boolean(head?.alive && !head.watched);

/** Turn dials: {name: value}. */
export function turn(changes) {
  if (!turnable()) return;
  problems = {};
  Object.assign(gathered, changes);
  clearTimeout(sending);
  sending = setTimeout(() => {
    delivery = deliver();
  }, GATHER);
  emit('dials');
}

async function deliver() {
  const asked = gathered;
  [flying, gathered, heads] = [{ ...flying, ...asked }, {}, null];
  let before = {};
  try {
    before = await takeBack(state.head.waiting); // what waits already is replaced, not followed
    flying = { ...before, ...flying };
    await send({ ...before, ...asked });
  } catch (wrong) {
    flying = before;
    refuse(wrong.message, wrong.field, Object.keys(asked));
    await send(before).catch(() => {}); // it was fine alone
  }
  heads = 0;
  emit('dials');
  poll();
}

async function send(changes) {
  const news = Object.fromEntries(Object.entries(changes).filter(([name, value]) => value !== state.head.dials[name]));
  if (Object.keys(news).length) await post(runPath('commands'), { kind: 'set', changes: news });
}

/** Take waiting commands back; the changes that the trainer had not taken yet. */
async function takeBack(commands) {
  const changes = {};
  for (const w of commands) {
    if (w.kind !== 'set') continue;
    const { undone } = await post(runPath('commands'), { kind: 'undo', command: w.id });
    if (undone) Object.assign(changes, w.changes);
  }
  return changes;
}

/** The config's sentence stands at its own dial and, if that is another, at the one that was turned. */
function refuse(sentence, field, names) {
  const words = sentence.replace(/^\w+: /, '');
  const name = field && field !== 'changes' ? field : names[0];
  problems = { [name]: words[0].toUpperCase() + words.slice(1) };
  if (!names.includes(name)) problems[names[0]] = `${known(name).label || name}: ${words}`;
  emit('dials');
}
export const problem = (names) => names.map((n) => problems[n]).find(Boolean) ?? null;
export function complain(name, words) {
  problems = { [name]: words };
  emit('dials');
}
export function forgive() {
  problems = {};
  emit('dials');
}

/** What a dial will be: being turned here, waiting in the run folder, or recorded for a later iteration. Else null. */
export function pending(name) {
  const { head } = state;
  if (!head) return null;
  const from = head.iteration + (['running', 'sampling'].includes(head.state) ? 2 : 1);
  const turned = { ...flying, ...gathered };
  const wanted = name in turned ? turned[name] : head.waiting.findLast((w) => w.kind === 'set' && name in w.changes)?.changes[name];
  if (wanted !== undefined && wanted !== head.dials[name]) return { value: wanted, from, old: head.dials[name] };
  const last = head.turns.findLast((t) => t.name === name);
  if (last && last.iteration > head.iteration && head.alive) return { value: last.new, from: last.iteration, old: last.old, taken: true };
  return null;
}

/** The value of a dial as it will be once everything that waits is in force. */
export const value = (name) => pending(name)?.value ?? state.head?.dials[name];

/** Everything that waits and is not recorded yet: {changes, from}, or null. */
export function waiting() {
  const names = new Set([...state.head.waiting.flatMap((w) => Object.keys(w.changes)), ...Object.keys(flying), ...Object.keys(gathered)]);
  const found = [...names].map((name) => [name, pending(name)]).filter(([, wait]) => wait && !wait.taken);
  return found.length ? { changes: Object.fromEntries(found.map(([n, w]) => [n, w.value])), from: found[0][1].from } : null;
}

/** Back to the values in force, whether the turn is being gathered, waits, or was taken a moment ago. */
export async function undo(names) {
  const without = (changes) => Object.fromEntries(Object.entries(changes).filter(([n]) => !names.includes(n)));
  const turned = names.map((n) => [n, pending(n)]).filter(([, wait]) => wait);
  const sent = turned.filter(([n, wait]) => wait.taken || n in flying || state.head.waiting.some((w) => n in w.changes));
  gathered = without(gathered);
  emit('dials');
  await delivery;
  const { waiting } = await get(runPath('head'));
  const rest = await takeBack(waiting.filter((w) => names.some((n) => n in w.changes)));
  flying = without(flying);
  await send(without(rest));
  const late = sent.filter(([n]) => !(n in rest)); // the trainer has these
  if (late.length) turn(Object.fromEntries(late.map(([n, wait]) => [n, wait.old])));
  emit('dials');
  poll();
}
