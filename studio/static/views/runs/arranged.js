// Which runs of the list are shown and in which order, without a page.

const WRONG = ['failed', 'died', 'silent'];
const end = (run) => run.path?.[run.path.length - 1];

/** By the key that is remembered: [words for a person, whether a run belongs to it]. */
export const STATES = {
  all: ['Every state', () => true],
  alive: ['At work', (r) => r.alive && r.state !== 'silent'],
  queued: ['Queued', (r) => r.place > 0],
  stopped: ['Stopped', (r) => r.state === 'stopped' && !r.place],
  finished: ['Finished', (r) => r.state === 'finished'],
  wrong: ['In trouble', (r) => Boolean(r.broken) || WRONG.includes(r.state)],
  watched: ['Watched', (r) => r.watched],
};

const falling = (value) => (a, b) => (value(b) ?? -Infinity) - (value(a) ?? -Infinity) || 0; // two that lack it: NaN, so as they were
/** [words, comparison]; none leaves the list as it came, newest first. */
export const ORDERS = {
  newest: ['Newest first', null],
  name: ['By name', (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true })],
  reward: ['Highest reward', falling((r) => end(r)?.[1])],
  looks: ['Most variety', falling((r) => end(r)?.[0])],
  time: ['Longest', falling((r) => r.seconds)],
  size: ['Largest', falling((r) => r.size)],
};

/** Runs that have every word of `text` in what their row says, in the wished state and order. `wish`: {text, state, order}. */
export function arranged(runs, { text = '', state = 'all', order = 'newest' }) {
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
  const said = (r) => [r.name, r.preset?.title, r.model, r.place ? 'queued' : r.word, r.verdict].join(' ').toLowerCase();
  const found = runs.filter((r) => (STATES[state] ?? STATES.all)[1](r) && wanted.every((word) => said(r).includes(word)));
  const compare = ORDERS[order]?.[1];
  return compare ? found.sort(compare) : found;
}
