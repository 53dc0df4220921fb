// The state of the Setup form: a starting point, the values on it, what the server says of them. Boxes subscribe with draws.

import { state, get, post } from '../../lib/store.js';

const WAIT = 250; // milliseconds after the last key
const DRAFT = 'manymodes.draft';
const KEPT = ['model', 'prompts', 'seed']; // what a person works on stays when another method is chosen

/**
 * base: where changes are counted from, {kind: 'preset' | 'own' | 'run' | 'file' | 'none', name, title, values}.
 * draws: called after every change of values or of what is known about them. said: a line below Start. takePictures: scores pictures.
 */
export const form = { known: null, base: null, values: {}, name: '', problems: {}, checked: null, draws: [], starting: false, said: '', takePictures: null };

let timer = null;
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export const usable = () => [
  ...form.known.presets.filter((p) => p.values).map((p) => ({ ...p, kind: 'preset' })),
  ...form.known.own.filter((p) => p.values).map((p) => ({ ...p, kind: 'own' })),
];
export const isBase = (kind, name) => form.base?.kind === kind && form.base.name === name;
const OUTSIDE = { name: 'Name', runs: 'folder of runs' }; // what is checked beside the settings
export const labelOf = (name) => OUTSIDE[name] ?? form.known?.fields[name]?.label ?? name;
export const kindOf = () => form.known.models.find((m) => m.name === form.values.model)?.kind ?? null;

/** Names of fields that differ from the starting point. */
export const changes = () =>
  form.base?.values ? Object.keys(form.values).filter((n) => !same(form.values[n], form.base.values[n])) : [];

/** Ask for presets, fields and lists, then show the draft of this tab, or the first preset. */
export async function open() {
  form.known = await get('/api/presets');
  const draft = readDraft();
  if (draft) Object.assign(form, draft);
  else if (usable().length) startFrom(usable()[0]);
  else {
    const values = Object.fromEntries(Object.entries(form.known.fields).map(([n, f]) => [n, f.default]));
    Object.assign(form, { base: { kind: 'none', name: '', title: 'Own settings', values }, values: { ...values }, name: form.known.name });
  }
}

function readDraft() {
  try {
    const draft = JSON.parse(sessionStorage.getItem(DRAFT) || 'null');
    return draft?.base?.values && draft.values && typeof draft.name === 'string' ? draft : null;
  } catch {
    return null;
  }
}

/** Take a preset's values; model, prompts and seed stay as a person changed them. */
export function choose(preset) {
  const mine = form.base ? changes().filter((n) => KEPT.includes(n)) : [];
  const keep = Object.fromEntries(mine.map((n) => [n, form.values[n]]));
  startFrom(preset);
  form.values = { ...form.values, ...keep };
  changed();
}

/** Take all values of a setup that was loaded, from which changes are counted. */
export function load(setup) {
  startFrom(setup);
  changed();
}

function startFrom({ kind, name, title, values }) {
  const typed = form.name && !/-\d+$/.test(form.name);
  form.base = { kind, name, title, values: structuredClone(values) };
  form.values = structuredClone(values);
  form.checked = null;
  if (!typed) form.name = freeName(name);
}

export function reset() {
  form.values = structuredClone(form.base.values);
  changed();
}

/** The stem with the first number that no run has: cat-study-05. */
export function freeName(text) {
  const stem =
    String(text)
      .replace(/-\d+$/, '')
      .replace(/[^A-Za-z0-9_-]+/g, '-')
      .replace(/^[-_]+|[-_]+$/g, '')
      .slice(0, 50) || 'run';
  const taken = new Set(state.runs.map((r) => r.name));
  let n = 1;
  while (taken.has(`${stem}-${String(n).padStart(2, '0')}`)) n++;
  return `${stem}-${String(n).padStart(2, '0')}`;
}

export function set(name, value) {
  setAll({ [name]: value });
}
export function setAll(values) {
  form.values = { ...form.values, ...values };
  changed();
}

export function changed() {
  try {
    sessionStorage.setItem(DRAFT, JSON.stringify({ base: form.base, values: form.values, name: form.name }));
  } catch {
    sessionStorage.removeItem(DRAFT); // larger than a browser keeps; the form itself holds it
  }
  draw();
  clearTimeout(timer);
  timer = setTimeout(check, WAIT);
}

export async function check() {
  const asked = JSON.stringify([form.values, form.name]);
  const answer = await post('/api/check', { config: form.values, name: form.name }).catch(() => null);
  if (!answer || asked !== JSON.stringify([form.values, form.name])) return;
  form.problems = answer.problems;
  form.checked = answer;
  draw();
}

export function draw() {
  for (const one of form.draws) one();
}
