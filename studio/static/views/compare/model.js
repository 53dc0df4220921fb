// What Compare shows, in one question to the studio, asked again for as long as something is missing.

import { state, on, emit, get, post, runPath } from '../../lib/store.js';

export const SEEDS = 16;
const FULL = 100; // hundredths: as trained
const SOON = 350; // milliseconds between questions while pictures are being made
const LATER = 1500; // while they are waited for
const CALM = 4000; // while nothing is missing: a page that is not heard of wants nothing
const page = Math.random().toString(36).slice(2);

export const model = {
  first: 0,
  left: [0, FULL], // checkpoint, strength in hundredths
  right: [-1, FULL], // -1: the newest weights, whatever they are when asked
  other: null, // another run, whose weights stand on the left: its newest ones, or those of left[0]
  seed: null, // shown through training
  every: null, // measure every prompt; null: unless a training would have to wait for it
  take: null, // weights after this iteration are wanted, saved or not
  layout: 'pairs',
  shown: null, // the last answer
  of: null, // what it is the answer to
  wrong: '', // a sentence, if the question was refused
};
let timer = null,
  asking = 0,
  again = false,
  root = null;

const seen = () => root?.clientWidth > 0 && !document.hidden;

/** Start asking once the screen is seen. */
export function begin(place) {
  root = place;
  read();
  on('run', () => {
    if (model.of?.run && model.of.run !== state.run) Object.assign(model, { left: [0, FULL], right: [-1, FULL], other: null, take: null, every: null });
    Object.assign(model, { shown: null, of: null, wrong: '' });
    emit('compare');
    ask();
  });
  on('info screen', () => ask());
  on('view', () => {
    if (model.of && model.of.prompt !== state.prompt) change({});
  });
  new ResizeObserver(() => ask()).observe(place);
  document.addEventListener('visibilitychange', () => ask());
}

/** Show something else: the screen at once says so, the pictures follow. */
export function change(what) {
  Object.assign(model, what, { wrong: '' });
  write();
  emit('compare');
  ask();
}

function question() {
  const every = model.every ?? !(state.head?.alive && state.head.state !== 'paused');
  const { first, left, right, other, take } = model;
  return { page, prompt: state.prompt, first, left, right, other, take, every, seed: model.seed ?? first };
}
/** The question as part of an address. */
export const asText = () => encodeURIComponent(JSON.stringify(question()));

export async function ask({ retry = false } = {}) {
  clearTimeout(timer);
  if (!state.run || state.prompt === null || !seen()) return;
  const [run, number] = [state.run, ++asking];
  const sent = question();
  try {
    const answer = state.head?.watched || state.replay ? await get(runPath(`compare?ask=${asText()}`)) : await post(runPath('compare'), retry ? { ...sent, again: true } : sent);
    if (run !== state.run || number !== asking) return;
    Object.assign(model, { shown: answer, of: { ...sent, run }, wrong: '' });
    settle(answer);
  } catch (problem) {
    if (run !== state.run || number !== asking) return;
    if (problem.status) model.wrong = problem.message;
  }
  emit('compare');
  timer = setTimeout(ask, again ? 0 : pause());
  again = false;
}

/** What the answer decides: which weights are the newest, and that the ones that were wanted are there. */
function settle(answer) {
  const newest = answer.checkpoints.at(-1) ?? 0;
  if (model.take !== null && newest >= model.take) {
    model.take = null;
    model.right = [newest, model.right[1]];
    again = true;
  } else if (model.right[0] < 0 && newest) model.right = [newest, model.right[1]];
  else if (model.right[0] < 0 && model.take === null && answer.maker.alive && answer.maker.iteration > 0) {
    model.take = answer.maker.iteration; // nothing is saved yet: look at what the trainer has
    again = true;
  }
  write();
}

function pause() {
  const maker = model.shown?.maker.state;
  if (maker === 'ready') return SOON;
  return maker === 'idle' || maker === 'watching' || !maker ? CALM : LATER;
}

// --- what the pictures on the screen belong to ---------------------------------------------------------------------------
/** True if the answer is about the prompt and seeds that are wanted now, so that its pictures may stay until others come. */
export const fits = () => Boolean(model.shown) && model.of.prompt === state.prompt && model.of.first === model.first && model.of.run === state.run;
const same = (key) => String(model.of[key]) === String(model[key]);
/** True if the answer is about what is wanted now on this side. */
export const exactOn = (side) => fits() && (side === 'left' ? same('left') && same('other') : same('right') || model.of.right[0] < 0);
/** True if the answer is about everything that is wanted now. */
export const exact = () => exactOn('left') && exactOn('right');
export const picture = (id, side = 'right', small = true) => {
  const run = side === 'left' && model.other ? model.other : state.run;
  return `/api/runs/${encodeURIComponent(run)}/compare/picture/${id}.webp${small ? '?small=1' : ''}`;
};
/** What stands on a side, in words; with its run's name where two runs are compared. */
export const sideName = (side) => {
  const [checkpoint] = model.shown && exact() ? model.shown[side] : model[side];
  const weights = checkpoint > 0 ? `iteration ${checkpoint}` : checkpoint === 0 ? 'base' : 'tuned';
  if (!model.other) return weights;
  const run = side === 'left' ? model.other : state.run;
  return checkpoint > 0 ? `${run}, ${weights}` : run;
};
/** "base" and "tuned", or what the sides are if the left one is not the base model. */
export const shortName = (side) => (model.left[0] === 0 && !model.other ? { left: 'base', right: 'tuned' }[side] : { left: 'left', right: 'right' }[side]);
/** What b is more than a, of the numbers as they are shown: a reader who subtracts must find the same. */
export const more = (a, b, digits = 2) => Number(b.toFixed(digits)) - Number(a.toFixed(digits));
export const leftIsBase = () => model.left[0] === 0 && !model.other;

// --- the address ----------------------------------------------------------------------------------------------------------
const KEYS = { first: 'first', strength: 'strength', at: 'checkpoint', left: 'left', other: 'other', layout: 'layout' };

function read() {
  const query = new URLSearchParams(location.search);
  const number = (key, low, high) => {
    const value = Number(query.get(KEYS[key]));
    return query.has(KEYS[key]) && Number.isInteger(value) && value >= low && value <= high ? value : null;
  };
  model.first = number('first', 0, 2 ** 31 - 1 - SEEDS) ?? 0;
  model.right = [number('at', 0, 1e9) ?? -1, number('strength', 0, 150) ?? FULL];
  model.other = query.get(KEYS.other);
  model.left = [number('left', 0, 1e9) ?? (model.other ? -1 : 0), FULL];
  if (query.get(KEYS.layout) === 'grids') model.layout = 'grids';
}

function write() {
  const address = new URL(location.href);
  const values = {
    first: model.first || null,
    strength: model.right[1] === FULL ? null : model.right[1],
    at: model.right[0] < 0 ? null : model.right[0],
    left: model.left[0] > 0 ? model.left[0] : null,
    other: model.other,
    layout: model.layout === 'pairs' ? null : model.layout,
  };
  for (const [key, value] of Object.entries(values))
    value === null ? address.searchParams.delete(KEYS[key]) : address.searchParams.set(KEYS[key], value);
  if (address.href !== location.href) history.replaceState(history.state, '', address);
}
