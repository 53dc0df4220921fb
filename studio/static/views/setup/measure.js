// Three trial iterations: asked for, watched while they go on, and what they found shown by the next check.

import { get, post } from '../../lib/store.js';
import { form, check, draw } from './form.js';

const WATCH = 700; // milliseconds between looks at a trial under way
export const measuring = { running: false, doing: '', seconds: 0, error: '', field: null };

export async function measure() {
  if (measuring.running) return;
  Object.assign(measuring, { running: true, doing: 'Starting', seconds: 0, error: '', field: null });
  draw();
  try {
    Object.assign(measuring, await post('/api/measure', { config: form.values }));
  } catch (problem) {
    Object.assign(measuring, { running: false, error: problem.message.replace(/^\w+: /, ''), field: problem.field });
  }
  draw();
  if (measuring.running) setTimeout(watch, WATCH);
}

export async function stopMeasuring() {
  Object.assign(measuring, await post('/api/measure/stop'));
  draw();
}

/** A trial that another tab started, or this one before a reload, is shown too. */
export async function findTrial() {
  const before = measuring.running;
  Object.assign(measuring, await get('/api/measure'));
  if (measuring.running && !before) setTimeout(watch, WATCH);
}

async function watch() {
  const answer = await get('/api/measure').catch(() => null); // a lost server is told by the band on top
  if (answer) Object.assign(measuring, answer);
  if (measuring.running) {
    draw();
    setTimeout(watch, WATCH);
    return;
  }
  form.known = await get('/api/presets');
  await check();
  draw();
}
