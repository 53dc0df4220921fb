// Run by test_runs_js.py with Node's own test runner.
import assert from 'node:assert/strict';
import test from 'node:test';
import { arranged, ORDERS, STATES } from '../../studio/static/views/runs/arranged.js';

const run = (name, more = {}) => ({ name, state: 'finished', word: 'Finished', place: 0, alive: false, watched: false, seconds: 10, size: 5, path: [[4, 0.5]], preset: { title: 'DDPO' }, model: 'emoji-ddpm', ...more });
const RUNS = [
  run('cat-10', { path: [[3, 0.9]], seconds: 30 }),
  run('cat-9', { path: [[6, 0.1]], verdict: 'Healthy' }),
  run('dog', { state: 'died', word: 'Ended', path: [], size: 99 }),
  run('owl', { state: 'running', word: 'Running', alive: true, preset: { title: 'DiverseGRPO' }, seconds: null }),
  run('fox', { state: 'stopped', word: 'Stopped', place: 2 }),
  run('far@cluster', { state: 'silent', word: 'Not answering', alive: true, watched: true }),
  { name: 'bad', broken: 'run.db is damaged', size: 1, made: 0 },
];
const names = (wish) => arranged(RUNS, wish).map((r) => r.name);

test('nothing asked leaves the list as it came, and never changes it', () => {
  const before = [...RUNS];
  assert.deepEqual(names({}), RUNS.map((r) => r.name));
  for (const order of Object.keys(ORDERS)) assert.deepEqual([...names({ order })].sort(), RUNS.map((r) => r.name).sort());
  assert.deepEqual(RUNS, before);
});

test('every word must be found, in name, preset, model, state or verdict, whatever its case', () => {
  assert.deepEqual(names({ text: 'CAT' }), ['cat-10', 'cat-9']);
  assert.deepEqual(names({ text: ' healthy  cat ' }), ['cat-9']);
  assert.deepEqual(names({ text: 'diverse running' }), ['owl']);
  assert.deepEqual(names({ text: 'queued' }), ['fox']); // what its row says in place of Stopped
  assert.deepEqual(names({ text: 'stopped' }), []);
  assert.deepEqual(names({ text: 'emoji-ddpm nothing' }), []);
  assert.deepEqual(names({ text: 'undefined' }), []);
});

test('each run is in every state or in the one that its row shows', () => {
  assert.deepEqual(names({ state: 'alive' }), ['owl']);
  assert.deepEqual(names({ state: 'queued' }), ['fox']);
  assert.deepEqual(names({ state: 'stopped' }), []);
  assert.deepEqual(names({ state: 'finished' }), ['cat-10', 'cat-9']);
  assert.deepEqual(names({ state: 'wrong' }), ['dog', 'far@cluster', 'bad']);
  assert.deepEqual(names({ state: 'watched' }), ['far@cluster']);
  assert.deepEqual(names({ state: 'gone' }), names({})); // remembered by an older page
  for (const r of RUNS) assert.ok(Object.entries(STATES).filter(([key, [, holds]]) => key !== 'all' && holds(r)).length >= 1, r.name);
});

test('orders put what they name first and runs without it last', () => {
  assert.deepEqual(names({ order: 'reward' }).slice(0, 2), ['cat-10', 'owl']);
  assert.deepEqual(names({ order: 'reward' }).slice(-2), ['dog', 'bad']);
  assert.equal(names({ order: 'looks' })[0], 'cat-9');
  assert.equal(names({ order: 'time' })[0], 'cat-10');
  assert.equal(names({ order: 'size' })[0], 'dog');
  assert.deepEqual(names({ order: 'name', text: 'cat' }), ['cat-9', 'cat-10']); // numbers as numbers
});
