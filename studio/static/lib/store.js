// One place for what all views share: the run, the viewed prompt and iteration, and everything read from the server.
// Views subscribe with on(); they never fetch the same thing twice, so they can never disagree.

import { Dots, decode } from './dots.js';
import { readSelection, writeSelection } from './selection.js';
import { thumbs } from './thumbs.js';

const POLL = 1000; // milliseconds
const PULSE = 250; // milliseconds between two looks at whether a live run has news, so that it is seen before the next poll
const LOST_AFTER = 3; // failed polls
const query = new URLSearchParams(location.search);

const RECORDED = 'lesson:'; // begins the name of a run that the lesson replays

export const state = {
  run: query.get('run'),
  replay: Boolean(query.get('run')?.startsWith(RECORDED)),
  screen: null,
  prompt: query.has('prompt') && query.get('prompt') !== 'all' ? Number(query.get('prompt')) : null,
  all: query.get('prompt') === 'all', // every prompt on one map; `prompt` stays the one that the charts show
  layout: null, // 'umap' or 'pca' where a person chose one
  sel: readSelection(query.get('sel')), // {ids, of}: pictures that were drawn around, of so many on the map
  compare: null, // {prompt, seed} to open in Compare
  iteration: query.has('it') ? Number(query.get('it')) : null,
  until: null, // the last iteration that is known of, where the lesson replays the run only so far
  step: query.has('step') ? Number(query.get('step')) : null, // of the lesson
  head: null,
  info: null,
  rows: [],
  window: 1, // iterations that a row's variety and mean reward are the mean of
  groups: 1, // iterations that drew a prompt, of which its shares are the mean
  base: null,
  dots: new Dots(),
  runs: [],
  order: 'look',
  draft: null,
  preset: null,
  failures: 0,
  trouble: '', // why the run cannot be read, though the server answers
  gone: null, // a run that is not here any more, and is opened again should it come back
};

const listeners = {};
/**
 * Call `f` whenever one of `names` happens: run, newest (a new iteration is known of, its row is not here yet), head (every poll), info,
 * rows, turns, base, dots, view, sel, point, theme, screen, lost, trouble, runs, fit, draft (state.draft holds {name, values} of a run that Setup should show a copy of),
 * preset (state.preset is the name of a shipped preset that Setup should choose).
 */
export function on(names, f) {
  for (const name of names.split(' ')) (listeners[name] ||= []).push(f);
}
export function emit(name) {
  for (const f of listeners[name] || []) f();
}

// --- talking to the server ----------------------------------------------------------------------------------------
async function request(path, options = {}) {
  const answer = await fetch(path, options).catch(() => {
    throw new Error('The studio’s server does not answer.');
  });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({ error: `The studio answered ${answer.status}.` }));
  throw Object.assign(new Error(problem.error || 'The studio could not answer.'), { field: problem.field, status: answer.status });
}
export const get = async (path) => (await request(path)).json();
export const getBuffer = async (path) => (await request(path)).arrayBuffer();
export const getBinary = async (path) => decode(await getBuffer(path));
export const post = async (path, body = {}, more = {}) =>
  (await request(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body), ...more })).json();
export const runPath = (rest) => `/api/runs/${encodeURIComponent(state.run)}/${rest}`;
/** Numbers of pictures come again in a run of the same name, and where iterations are made anew: not with the same version. */
const version = () => state.head?.pictures ?? 0;
/** A picture's small form, which a browser keeps. */
export const thumb = (id) => runPath(`thumb/${id}.webp?v=${version()}`);
/** The small forms of many pictures at once, for one group of tiles. */
export const thumbSheets = () =>
  thumbs({ ask: (ids) => getBuffer(runPath(`thumbs?ids=${ids.join(',')}&v=${version()}`)), version: () => `${state.run} ${version()}` });

/** Ask the trainer for something, then look at once whether it took it. */
export async function command(body) {
  const answer = await post(runPath('commands'), body, { keepalive: true }); // it arrives also if the page is reloaded at once
  poll();
  return answer;
}

// --- the viewed moment ----------------------------------------------------------------------------------------------
export const newest = () => Math.max(0, state.head ? state.head.newest : 0);
export const following = () => state.iteration === null;
export const viewed = () => (following() ? newest() : Math.min(state.iteration, newest()));
export const promptInfo = () => (state.info && state.info.prompts[state.prompt]) || null;
export const looksOf = (prompt = state.prompt) => (state.info && state.info.looks[String(prompt)]) || [];

/** The last row up to `iteration`, or undefined. */
export function rowAt(iteration, suits = () => true) {
  let low = 0,
    high = state.rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (state.rows[middle].iteration <= iteration) low = middle + 1;
    else high = middle;
  }
  for (let i = low - 1; i >= 0; i--) if (suits(state.rows[i])) return state.rows[i];
  return undefined;
}
/** Smoothed shares of each look, then of new pictures, of the viewed prompt at `iteration`. */
export function sharesAt(iteration) {
  const key = String(state.prompt),
    row = rowAt(iteration, (r) => key in r.shares);
  return row ? row.shares[key] : null;
}

export function view(change) {
  if ('iteration' in change)
    change.iteration = change.iteration === null || change.iteration >= newest() ? null : Math.max(0, Math.round(change.iteration));
  const other = ['prompt', 'all', 'layout'].some((name) => name in change && change[name] !== state[name]);
  const lost = state.sel && ['prompt', 'all'].some((name) => name in change && change[name] !== state[name]);
  Object.assign(state, change, lost ? { sel: null } : {});
  writeAddress();
  if (lost) emit('sel');
  if (other) {
    Object.assign(state, { base: null, dots: new Dots() }); // nothing of the one on the map of the other
    loadMap();
  }
  emit('view');
  loadDots();
}

/** Pictures that were drawn around: {ids, of}, or null for none. */
export function select(sel) {
  state.sel = sel;
  writeAddress();
  emit('sel');
}

export function writeAddress() {
  const address = new URL(location.href);
  const prompt = state.all ? 'all' : state.prompt || null;
  const step = state.screen === 'lesson' ? state.step : null;
  const values = { run: state.run, screen: state.screen, prompt, it: state.iteration, sel: writeSelection(state.sel), step };
  for (const [name, value] of Object.entries(values))
    value == null ? address.searchParams.delete(name) : address.searchParams.set(name, value);
  if (address.href !== location.href) history.replaceState(history.state, '', address);
}

let openings = 0; // answers for an earlier opening are dropped, also of the same run

export function openRun(name, until = null) {
  openings++;
  if (name !== state.run) Object.assign(state, { prompt: null, all: false, iteration: null, sel: null });
  Object.assign(state, { run: name, until, replay: Boolean(name?.startsWith(RECORDED)), head: null, info: null, rows: [], base: null, dots: new Dots(), gone: null, trouble: '' });
  writeAddress();
  emit('run');
  poll();
}

// --- polling --------------------------------------------------------------------------------------------------------
let timer = null,
  busy = false,
  again = false;

export async function poll() {
  clearTimeout(timer);
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  const opening = openings;
  try {
    if (!document.hidden) await look();
    answered();
  } catch (problem) {
    if (!problem.status) {
      if (++state.failures >= LOST_AFTER) emit('lost');
    } else if (opening === openings) {
      // not of the name that a run had before it was renamed
      if (problem.status === 404 && state.run) forget();
      answered(state.run ? problem.message : '');
    }
  } finally {
    busy = false;
    timer = setTimeout(poll, again ? 0 : POLL);
    again = false;
  }
}

/** The server is there; `trouble` is what it said instead of the run. */
function answered(trouble = '') {
  const lost = state.failures >= LOST_AFTER;
  state.failures = 0;
  if (lost) emit('lost');
  if (state.trouble === trouble) return;
  state.trouble = trouble;
  emit('trouble');
}

let pulse = null, // what was felt when everything was last asked for
  felt = 0,
  feeling = false;

/** A live run's newest iteration, event and state: when they change, everything is asked for at once, though never twice a second. */
async function feel() {
  if (feeling || busy || document.hidden || !state.head?.alive || performance.now() - felt < POLL) return;
  feeling = true;
  try {
    const { run } = state;
    const now = JSON.stringify([run, await get(runPath('pulse'))]);
    if (pulse !== null && now !== pulse && run === state.run) {
      felt = performance.now();
      poll();
    }
    pulse = now;
  } catch {
    // the poll finds out what is wrong
  } finally {
    feeling = false;
  }
}
setInterval(feel, PULSE);

async function look() {
  if (!state.run) return findRun();
  const opening = openings,
    head = cut(await get(runPath('head')), state.until);
  if (opening !== openings) return undefined;
  const before = state.head;
  if (before && before.epoch !== head.epoch) Object.assign(state, { rows: [], dots: new Dots(), iteration: null, sel: null });
  const changed = !before || before.maps !== head.maps || (before.newest < 0 && head.newest >= 0) || before.epoch !== head.epoch;
  const turned = !before || before.turns.length !== head.turns.length || before.turns.at(-1)?.id !== head.turns.at(-1)?.id;
  state.head = head;
  if (changed) {
    const info = await get(runPath('info'));
    if (opening !== openings) return undefined;
    state.info = info;
    const mapped = info.prompts.filter((p) => p.mapped);
    if (state.prompt === null || !info.prompts[state.prompt]) state.prompt = (mapped[0] || { prompt: 0 }).prompt;
    state.all &&= mapped.length !== 1; // one prompt is all there are
    emit('info');
    await loadMap();
    if (opening !== openings) return undefined;
  }
  if (!before || before.newest !== head.newest) emit('newest');
  const rows = loadRows(opening).then(() => {
    if (opening !== openings) return;
    if (turned) emit('turns');
    emit('head');
  });
  return Promise.all([rows, loadDots()]);
}

/** What was known when the run had come to iteration `until`. */
function cut(head, until) {
  if (until === null) return head;
  const later = head.turns.filter((t) => t.iteration > until).reverse();
  const dials = Object.assign({ ...head.dials }, ...later.map((t) => ({ [t.name]: t.old })));
  return { ...head, newest: Math.min(head.newest, until), turns: head.turns.filter((t) => t.iteration <= until), dials };
}

async function findRun() {
  state.runs = (await get('/api/runs')).runs;
  // one that went away is not replaced by another: what is pressed would reach that one
  const best = state.gone ? state.runs.find((r) => r.name === state.gone) : state.runs.find((r) => r.alive) || state.runs[0];
  if (best && !state.run) openRun(best.name);
  emit('runs');
}

/** The run's folder is gone, perhaps for a moment. */
function forget() {
  Object.assign(state, { gone: state.head && state.run, run: null, head: null, info: null, rows: [], base: null, dots: new Dots(), prompt: null, iteration: null });
  writeAddress();
  emit('run');
}

export async function listRuns() {
  state.runs = (await get('/api/runs')).runs;
  emit('runs');
}

async function loadRows(opening) {
  const last = () => (state.rows.length ? state.rows[state.rows.length - 1].iteration : -1);
  if (state.head.newest <= last()) return;
  for (let more = true; more;) {
    const answer = await get(runPath(`series?since=${last()}`));
    if (opening !== openings) return;
    state.rows.push(...answer.rows.filter((r) => r.iteration <= (state.until ?? Infinity)));
    Object.assign(state, { window: answer.window, groups: answer.groups });
    more = answer.more;
  }
  emit('rows');
}

const mapQuery = () => `prompt=${state.prompt}&all=${state.all}${state.layout ? `&method=${state.layout}` : ''}`;

async function loadMap() {
  const opening = openings,
    query = mapQuery();
  const base = await getBinary(runPath(`base?${query}`));
  if (opening !== openings || query !== mapQuery()) return;
  const { group_size, prompts_per_iteration } = state.info.config;
  state.base = base;
  state.dots = new Dots(base.method, state.all ? group_size * prompts_per_iteration : group_size, state.replay);
  emit('base');
}

async function loadDots() {
  const { run, prompt, dots, all } = state;
  if (!run || !state.base) return;
  const range = dots.missing(viewed(), newest());
  if (!range) return;
  dots.asked(range);
  try {
    const columns = await getBinary(runPath(`points?prompt=${prompt}&all=${all}&since=${range.since}&until=${range.until}&method=${dots.method}`));
    if (dots !== state.dots) return;
    dots.add(columns, range);
    emit('dots');
  } finally {
    dots.asked(null);
  }
}

document.addEventListener('visibilitychange', () => document.hidden || poll());
