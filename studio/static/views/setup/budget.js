// The right column's answers: how long, does it fit, and from what that is known.

import { $, h, hear, icon, say, seconds, giga, plain } from '../../lib/dom.js';
import { form, set, labelOf } from './form.js';
import { measuring, measure, stopMeasuring } from './measure.js';
import { measureWords } from './cards.js';

const SHADES = [1, 0.55, 0.3, 0.14]; // of the ink, from the first part to the last
const TIME = [
  ['learn', () => 'Learn from them'],
  ['make', (m) => (m ? `Make ${m.pictures} ${m.pictures === 1 ? 'picture' : 'pictures'}` : 'Make pictures')],
  ['looks', () => 'Find the looks'],
  ['score', () => 'Score them'],
];
const MEMORY = [
  ['model', (m) => (m?.device?.startsWith('cuda') ? 'Model and LoRA' : 'Program, model and LoRA')],
  ['pictures', () => 'Pictures in flight'],
  ['gradients', () => 'Gradients'],
  ['looks', () => 'Looks and reward'],
];

export function budget() {
  const time = panel('time', 'Time', TIME),
    memory = panel('memory', 'Memory', MEMORY),
    remedies = h('div', { class: 'remedies' }),
    prov = h('p', { class: 'prov' }),
    act = h('button', { class: 'btn sm', id: 'mm-measure', onclick: () => (measuring.running ? stopMeasuring() : measure()) }),
    doing = h('p', { class: 'doing' }),
    heard = h('p', { class: 'sr', 'aria-live': 'polite' });
  memory.querySelector('.huge').after(remedies);
  let key = '';
  form.draws.push(() => {
    const m = form.checked?.measured ?? null;
    drawTime(time, m);
    drawMemory(memory, m);
    if (JSON.stringify(m?.remedies ?? []) !== key) {
      key = JSON.stringify(m?.remedies ?? []);
      remedies.replaceChildren(...(m?.remedies ?? []).map(remedy));
    }
    say(prov, m ? provenance(m) : 'Three real iterations say how long it takes and whether it fits.');
    const wrong = Object.keys(form.problems).some((n) => n !== 'name');
    say(act, measuring.running ? 'Stop measuring' : m ? 'Measure again' : measureWords());
    act.disabled = wrong && !measuring.running;
    say(doing, measuring.running ? `${measuring.doing}, ${measuring.seconds} s` : measuring.error);
    hear(heard, doing.textContent);
    doing.classList.toggle('off', !measuring.running && Boolean(measuring.error));
  });
  // the sentence ages, whether or not anything is typed
  setInterval(() => form.checked?.measured && !document.hidden && say(prov, provenance(form.checked.measured)), 30_000);
  return [time, memory, h('div', { class: 'source' }, prov, act, doing, heard)];
}

function panel(id, title, parts) {
  return h(
    'div',
    { class: `bud ${id}` },
    h('h3', {}, title, h('span', { class: 'side' })),
    h('div', { class: 'huge' }, h('span', { class: 'value' }), h('small', {})),
    h('div', { class: 'stack', 'aria-hidden': 'true' }, [...parts.map((_, i) => h('i', { style: `opacity:${SHADES[i]}` })), h('i', { class: 'rest' })]),
    h(
      'dl',
      { class: 'lgd' },
      parts.map(([name], i) => h('div', { 'data-part': name }, h('dt', {}, h('i', { style: `opacity:${SHADES[i]}` }), h('span', {})), h('dd', {}))),
    ),
    h('p', { class: 'whole', hidden: true }), // stands in for the parts, as high as they are
  );
}

function drawTime(root, m) {
  say($('.side', root), m ? `${seconds(m.pace)} per iteration` : '');
  say($('.value', root), m ? seconds(m.pace * Number(form.values.iterations || 0)) : 'Not measured yet');
  say($('small', root), m ? `for ${form.values.iterations} iterations` : '');
  root.classList.toggle('unknown', !m);
  $('.huge', root).title = m?.base ? `And ${seconds(m.base)} before them, for the base pictures.` : '';
  drawParts(root, TIME, m, m?.parts, seconds, m?.pace);
}

function drawMemory(root, m) {
  const side = $('.side', root),
    fits = m?.fits ?? null;
  const state = fits === null ? '' : fits ? 'Fits' : 'Does not fit';
  if (side.textContent !== state) side.replaceChildren(...(fits === null ? [] : [icon(fits ? 'check' : 'warn', 14), state]));
  side.className = `side ${fits === null ? '' : fits ? 'fit' : 'unfit'}`;
  say($('.value', root), m?.memory ? (fits === false ? `Needs ${giga(m.memory)}` : `${giga(m.memory)} GB`) : 'Not measured yet');
  say($('small', root), m?.memory_total ? `of ${giga(m.memory_total)} GB${fits === false ? '' : ' at the peak'}` : '');
  root.classList.toggle('unknown', !m?.memory);
  drawParts(root, MEMORY, m, m?.memory_parts, bytes, m?.memory, fits ? m.memory_total : 0);
}

/**
 * Bars and rows of the parts. `whole`: what they make together, nothing while it was not measured; a run may know that alone.
 * `of`: what the whole track stands for, if that is more.
 */
function drawParts(root, names, m, parts, words, whole, of = 0) {
  const bars = root.querySelectorAll('.stack i'),
    undivided = Boolean(whole && !parts),
    sum = parts ? names.reduce((s, [n]) => s + parts[n], 0) : whole || 0;
  $('.lgd', root).hidden = undivided;
  $('.whole', root).hidden = !undivided;
  say($('.whole', root), undivided ? `${root.classList.contains('memory') ? 'Runs note the peak alone' : `The run ${m.run} did not note its parts`}. Measure again shows the four parts.` : '');
  names.forEach(([name, title], i) => {
    const share = parts ? parts[name] : undivided && !i ? sum : 0;
    bars[i].hidden = !share;
    bars[i].style.flexGrow = share / Math.max(sum, of, 1e-9);
    const row = root.querySelector(`[data-part=${name}]`);
    say($('dt span', row), title(m));
    say($('dd', row), parts ? words(parts[name]) : '–');
  });
  const rest = sum ? Math.max(0, 1 - sum / Math.max(sum, of)) : 1;
  bars[names.length].hidden = !rest;
  bars[names.length].style.flexGrow = rest;
}

function remedy(r) {
  return h(
    'button',
    { class: 'btn sm', title: r.to === true ? form.known.fields[r.field].help : `Sets ${labelOf(r.field)} to ${r.to}.`, onclick: () => set(r.field, r.to) },
    r.label,
    h('b', {}, `−${bytes(r.saving)}`),
  );
}

function provenance(m) {
  const where = 'on this computer',
    disk = m.disk ? ` Disk: about ${bytes(m.disk)}.` : '';
  if (m.run) return `Measured in ${m.iterations} iterations of the run ${m.run} ${where} (${m.device || 'device unknown'}).${disk}`;
  const part = m.fits_with ? ` It ran with ${plain(m.fits_with)} in flight${m.fits_thrifty ? ' and checkpointing' : ''}; the rest is in proportion.` : '';
  return `Measured in ${m.iterations} trial iterations ${where}, ${ago(Date.now() / 1000 - m.at)}.${part}${disk}`;
}

/** 1.7 GB, or 40 MB below a tenth of that. */
export const bytes = (n) => (n < 9.5e7 ? `${plain(Number((n / 1e6).toPrecision(2)))} MB` : `${giga(n)} GB`);

function ago(age) {
  const unit = (n, word) => `${n} ${word}${n === 1 ? '' : 's'} ago`;
  if (age < 60) return 'just now';
  if (age < 5400) return unit(Math.round(age / 60), 'minute');
  if (age < 129_600) return unit(Math.round(age / 3600), 'hour');
  return unit(Math.round(age / 86_400), 'day');
}
