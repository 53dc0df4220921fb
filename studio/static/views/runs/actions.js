// What can be done with a run, said once: each action asks the server and then has the list read again.

import { get, post, openRun, emit, listRuns, state, poll } from '../../lib/store.js';

export const at = (name, rest) => `/api/runs/${encodeURIComponent(name)}/${rest}`;

/** Set by the screen: read the list anew, say a sentence (with an Undo), ask in a dialog. */
export const screen = { refresh: async () => {}, say: () => {}, ask: {} };

/** Do something that may be refused; the refusal is said at the foot of the list. */
export async function attempt(act) {
  try {
    await act();
  } catch (problem) {
    screen.say(problem.message.replace(/^\w+: /, ''), 'wrong');
  }
  await Promise.all([screen.refresh(), listRuns()]);
}

export function open(name) {
  openRun(name);
  window.manymodes.show('live');
}

export function compare(name) {
  openRun(name);
  window.manymodes.show('compare');
}

export const resume = (name) => attempt(() => post(at(name, 'resume')).then(() => state.run === name && poll()));

export async function duplicate(name) {
  await attempt(async () => {
    state.draft = { name, values: (await get(at(name, 'info'))).config };
    emit('draft');
    window.manymodes.show('setup');
  });
}

export const enqueue = (name) =>
  attempt(async () => {
    const { queue, starts } = await post('/api/queue', { run: name });
    screen.say(starts ? `${name} starts.` : `${name} waits in the queue, place ${queue.runs.indexOf(name) + 1}.`);
  });
export const leaveQueue = (name) => attempt(() => post('/api/queue/remove', { run: name }));
export const orderQueue = (runs) => attempt(() => post('/api/queue/order', { runs }));
export const holdQueue = (held) => attempt(() => post('/api/queue/hold', { held }));

export const archive = (name) =>
  attempt(async () => {
    const { archived } = await post(at(name, 'archive'));
    if (state.run === name) openRun(null);
    screen.say(`Archived ${name}.`, '', () => restore(archived));
  });
export const restore = (name) =>
  attempt(async () => {
    const { run } = await post(`/api/archived/${encodeURIComponent(name)}/restore`);
    screen.say(run === name ? `${name} is back.` : `${name} is back as ${run}: its name was given away.`);
  });

export async function rename(name, to) {
  const { run } = await post(at(name, 'rename'), { to });
  if (state.run === name) openRun(run);
  await Promise.all([screen.refresh(), listRuns()]);
  return run;
}

export const forget = (name) =>
  attempt(async () => {
    await post(`/api/watched/${encodeURIComponent(name)}/forget`);
    if (state.run === name) openRun(null);
    screen.say(`${name} is watched no more. Nothing in its folder changed.`);
  });
