// The strip: what the run is doing, how far it is, and the two buttons that always work. Also the rail's own buttons.

import { $, h, icon, say, seconds, giga, svg, glyphPath, percent } from '../lib/dom.js';
import { state, on, command, post, runPath, openRun, listRuns, poll } from '../lib/store.js';
import { toggleList } from '../lib/keys.js';

const LOOK = {
  none: ['quiet', ''],
  preparing: ['clock', ''],
  running: ['play', 'ok'],
  pausing: ['clock', ''],
  paused: ['pause', 'warn'],
  sampling: ['clock', ''],
  stopping: ['clock', ''],
  resuming: ['clock', ''],
  stopped: ['stop', ''],
  finished: ['flag', 'ok'],
  failed: ['warn', 'bad'],
  died: ['warn', 'bad'],
  silent: ['warn', 'warn'],
};
const PHASES = [
  ['rollout', 'Make'],
  ['decode', 'Decode'],
  ['reward', 'Score'],
  ['diversity', 'Find looks'],
  ['update', 'Learn'],
  ['write', 'Write down'],
];
const PATIENCE = 10_000; // milliseconds until "Stop now?" is offered

let place,
  asked = null,
  askedAt = 0;

export function strip(root) {
  place = root;
  root.setAttribute('role', 'region');
  root.setAttribute('aria-label', 'Run');
  root.append(
    brand(),
    h('span', { class: 'state', id: 'mm-state' }, h('span', { class: 'ic' }), h('span', { class: 'word' })),
    h(
      'div',
      { class: 'run' },
      h('select', {
        id: 'mm-run',
        'aria-label': 'Run',
        onchange: (e) => openRun(e.target.value),
        onpointerdown: listRuns,
        onfocus: listRuns,
      }),
      h('span', { id: 'mm-on' }),
    ),
    h('span', { class: 'away', id: 'mm-away' }),
    h(
      'div',
      { class: 'stats' },
      stat('iteration', 'Iteration', true),
      stat('left', 'Time left'),
      stat('pace', 'Per iteration'),
      stat('memory', 'Memory', true),
    ),
    h(
      'div',
      { class: 'btns' },
      h(
        'button',
        { class: 'btn', id: 'mm-pause', title: 'Pause or resume  Space', onclick: pauseOrResume },
        h('span', { class: 'ic' }),
        h('span', { class: 'word' }, 'Pause'),
      ),
      h(
        'button',
        { class: 'btn', id: 'mm-stop', title: 'Save, then stop  Shift+S', onclick: () => ask('stop') },
        icon('stop'),
        h('span', { class: 'word' }, 'Stop'),
      ),
      h(
        'button',
        { class: 'btn', id: 'mm-resume', title: 'Continue from the newest checkpoint', onclick: resume },
        icon('play'),
        h('span', {}, 'Resume'),
      ),
      h(
        'div',
        { class: 'patience', id: 'mm-patience', role: 'alert', hidden: true },
        h('span', {}, 'Still finishing a step.'),
        h('button', { class: 'btn sm', onclick: endNow }, 'Stop now'),
      ),
    ),
    h('div', { class: 'sr', 'aria-live': 'assertive', id: 'mm-alarm' }),
    h(
      'div',
      { class: 'railend' },
      h('button', { 'aria-label': 'Keyboard shortcuts', title: 'Keyboard shortcuts  ?', onclick: toggleList }, icon('help', 20)),
      h(
        'button',
        { 'aria-label': 'Switch between light and dark', title: 'Light or dark  T', onclick: () => window.manymodes.turnTheme() },
        icon('theme', 20),
      ),
    ),
  );
  on('head run runs info screen', draw);
  setInterval(patience, 500);
  draw();
}

function brand() {
  const mark = svg(
    32,
    32,
    [
      [0, 10, 10],
      [2, 22, 10.4],
      [3, 10, 22],
      [1, 22, 22],
    ]
      .map(([k, x, y]) => `<path d="${glyphPath(k, x, y, 4.2)}"/>`)
      .join(''),
    { viewBox: '0 0 32 32', role: 'img', 'aria-label': 'Manymodes Studio', fill: 'var(--ink)' },
  );
  return h('div', { class: 'brand' }, mark);
}

function stat(id, label, bar = false) {
  return h(
    'div',
    { class: 'stat', id: `mm-${id}` },
    h('label', {}, label),
    h('div', {}, h('b', {}), h('small', {}), bar && h('span', { class: 'bar' }, h('i', {}))),
  );
}

function put(id, big, small = '', share = null, title = '') {
  const box = $(`#mm-${id}`, place);
  say($('b', box), big);
  say($('small', box), small);
  if (share !== null) $('.bar i', box).style.width = `${(100 * share).toFixed(1)}%`;
  box.title = title;
  box.hidden = !big;
}

function draw() {
  const { head, info } = state;
  const shown = head ? (asked && head.alive && Date.now() - askedAt < 60_000 && !settled(head) ? asked.becoming : head.state) : 'none';
  const [picture, tone] = LOOK[shown] || LOOK.none;
  const word = !head
    ? 'Nothing running'
    : shown === head.state
      ? head.word
      : { pausing: 'Pausing', stopping: 'Stopping', resuming: 'Resuming' }[shown];
  const chip = $('#mm-state', place);
  if (chip.dataset.state !== shown) {
    chip.dataset.state = shown;
    chip.className = `state ${tone}`;
    $('.ic', chip).replaceChildren(icon(picture, 14));
  }
  say($('.word', chip), word);
  drawRuns();
  say($('#mm-on', place), info ? `${presetName(info.preset)} on ${modelName(info.config.model)}` : '');
  const away = head && head.verdict && state.screen !== 'live' && ['Narrowing', 'Collapsing'].includes(head.verdict) ? head.verdict : '';
  const note = $('#mm-away', place);
  say(note, away);
  note.className = `away ${away === 'Collapsing' ? 'bad' : 'warn'}`;
  if (head) {
    put('iteration', String(head.iteration), `of ${head.iterations}`, head.iterations ? head.iteration / head.iterations : 0);
    put('left', head.alive && head.left != null && head.iteration ? seconds(head.left) : '');
    const parts = PHASES.filter(([n]) => head.phases[n] != null)
      .map(([n, w]) => `${w} ${seconds(head.phases[n])}`)
      .join(', ');
    put('pace', head.pace == null ? '' : seconds(head.pace), '', null, parts);
    const full = head.memory_total ? head.memory_used / head.memory_total : 0;
    put(
      'memory',
      head.memory_used ? giga(head.memory_used) : '',
      `of ${giga(head.memory_total)} GB${full > 0.9 ? ', nearly full' : ''}`,
      full,
      `${head.device || ''}, ${percent(full)} used`,
    );
    $('#mm-memory', place).classList.toggle('warn', full > 0.9);
  } else for (const id of ['iteration', 'left', 'pace', 'memory']) put(id, '');
  drawButtons(head);
  say($('#mm-alarm', place), head && ['failed', 'died', 'silent'].includes(head.state) ? `${head.word}. ${head.message}` : '');
}

function drawRuns() {
  const select = $('#mm-run', place),
    names = state.runs.map((r) => r.name);
  if (state.run && !names.includes(state.run)) names.unshift(state.run);
  const key = names.join('\n');
  if (select.dataset.key !== key) {
    select.dataset.key = key;
    select.replaceChildren(...names.map((n) => h('option', { value: n }, n)));
  }
  select.value = state.run ?? '';
  select.hidden = !state.run;
}

const presetName = ({ title, changes }) => (changes ? `${title}, ${changes} ${changes === 1 ? 'change' : 'changes'}` : title);
export const modelName = (model) => (model === 'emoji-sd3' ? 'Emoji SD3' : model.split(/[\\/]/).filter(Boolean).pop() || model);

function drawButtons(head) {
  const alive = Boolean(head && head.alive),
    paused = alive && ['paused', 'pausing'].includes(head.state);
  const pause = $('#mm-pause', place),
    stop = $('#mm-stop', place);
  pause.hidden = stop.hidden = !alive;
  $('#mm-resume', place).hidden = !head || alive || head.iteration >= head.iterations;
  const label = asked && !settled(head) ? { pause: 'Pausing', resume: 'Resuming' }[asked.kind] : null;
  say($('.word', pause), label || (paused ? 'Resume' : 'Pause'));
  if (pause.dataset.icon !== String(paused)) {
    pause.dataset.icon = String(paused);
    $('.ic', pause).replaceChildren(icon(paused ? 'play' : 'pause'));
  }
  pause.disabled = !alive || head.state === 'stopping' || asked?.kind === 'stop';
  say($('.word', stop), asked?.kind === 'stop' || head?.state === 'stopping' ? 'Stopping' : 'Stop');
  stop.disabled = !alive || asked?.kind === 'stop' || head.state === 'stopping';
}

const settled = (head) => !asked || !head || asked.done.includes(head.state) || !head.alive;

async function pauseOrResume() {
  if (state.head?.alive) await ask(['paused', 'pausing'].includes(state.head.state) ? 'resume' : 'pause');
}

async function resume() {
  await post(runPath('resume'));
  poll();
}

async function ask(kind) {
  if (!state.head?.alive) return;
  asked = {
    kind,
    becoming: { pause: 'pausing', resume: 'resuming', stop: 'stopping' }[kind],
    done: { pause: ['paused'], resume: ['running'], stop: [] }[kind],
  };
  askedAt = Date.now();
  draw();
  await command({ kind });
}

function patience() {
  if (asked && state.head && settled(state.head)) {
    asked = null;
    draw();
  }
  const late = asked?.kind === 'stop' && Date.now() - askedAt > PATIENCE;
  $('#mm-patience', place).hidden = !late;
}

export async function endNow() {
  asked = null;
  $('#mm-patience', place).hidden = true;
  await post(runPath('end'));
  poll();
}
