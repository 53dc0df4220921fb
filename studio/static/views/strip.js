// The strip: what the run is doing, how far it is, and the two buttons that always work. Also the rail's own buttons.

import { $, apart, glyphPath, h, icon, say, svg } from '../lib/dom.js';
import { state, on, command, listRuns, post, runPath, poll } from '../lib/store.js';
import { toggleList } from '../lib/keys.js';
import { runName } from './strip/name.js';
import { stats } from './strip/stats.js';

// icon and tone of every state; the word comes from the server, but for what was asked a moment ago
const LOOK = {
  none: ['quiet', ''],
  queued: ['clock', ''],
  preparing: ['glass', ''],
  running: ['play', 'ok'],
  pausing: ['pausing', ''],
  paused: ['pause', 'warn'],
  sampling: ['camera', ''],
  stopping: ['stopping', ''],
  resuming: ['resuming', ''],
  stopped: ['stop', ''],
  finished: ['flag', 'ok'],
  failed: ['warn', 'bad'],
  died: ['broken', 'bad'],
  silent: ['silent', 'warn'],
  replay: ['replay', ''],
};
const ASKED = {
  pause: { state: 'pausing', word: 'Pausing', done: ['paused'] },
  resume: { state: 'resuming', word: 'Resuming', done: ['running', 'sampling', 'preparing'] },
  stop: { state: 'stopping', word: 'Stopping', done: [] },
};
const PATIENCE = 10_000; // milliseconds until "Stop now?" is offered, and offered again

let place,
  name,
  numbers,
  asked = null, // {kind, at, sent, quiet}: what was asked of the trainer and is not done yet, here or in another tab
  unheard = '', // a sentence, if what was pressed last came to nothing
  waitUntil = 0;

export function strip(root) {
  place = root;
  name = runName();
  numbers = stats();
  root.setAttribute('role', 'region');
  root.setAttribute('aria-label', 'Run');
  root.append(
    brand(),
    h('span', { class: 'state', id: 'mm-state', role: 'status' }, h('span', { class: 'ic' }), h('span', { class: 'word' })),
    h('div', { class: 'run' }, name.box, h('span', { id: 'mm-on' })),
    h('span', { class: 'away', id: 'mm-away', role: 'status' }),
    numbers.box,
    buttons(),
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
  on('run', () => {
    asked = null;
    unheard = '';
  });
  on('head run runs info screen', draw);
  setInterval(draw, 500);
  listRuns();
  draw();
}

function brand() {
  const marks = [
    [0, 10, 10],
    [2, 22, 10.4],
    [3, 10, 22],
    [1, 22, 22],
  ].map(([k, x, y]) => `<path d="${glyphPath(k, x, y, 4.2)}"/>`);
  return h(
    'div',
    { class: 'brand' },
    svg(32, 32, marks.join(''), { viewBox: '0 0 32 32', role: 'img', 'aria-label': 'Manymodes Studio', fill: 'var(--ink)' }),
  );
}

function buttons() {
  const later = () => {
    waitUntil = Date.now() + PATIENCE;
    draw();
  };
  return h(
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
    h('button', { class: 'btn', id: 'mm-resume', title: 'Continue from the newest checkpoint', onclick: resume }, icon('play'), h('span', {}, 'Resume')),
    h(
      'div',
      { class: 'patience', id: 'mm-patience', role: 'alert', hidden: true },
      h('span', {}, 'Still finishing a step. Stop now?'),
      h('button', { class: 'btn sm', title: 'Ends the process. What came after the newest checkpoint is made anew when it resumes.', onclick: endNow }, 'Stop now'),
      h('button', { class: 'btn sm', onclick: later }, 'Wait'),
    ),
  );
}

// --- drawing ------------------------------------------------------------------------------------------------------
function draw() {
  const { head } = state;
  settle(head);
  const shown = !head ? (state.replay ? 'replay' : 'none') : asked ? ASKED[asked.kind].state : head.state;
  const [picture, tone] = LOOK[shown] || LOOK.none;
  const chip = $('#mm-state', place);
  if (chip.dataset.state !== shown) {
    chip.dataset.state = shown;
    chip.className = `state ${tone}`;
    $('.ic', chip).replaceChildren(icon(picture, 14));
  }
  say($('.word', chip), !head ? (state.replay ? 'Replay' : 'Nothing running') : asked ? ASKED[asked.kind].word : head.word);
  name.draw();
  about(head);
  verdict(head);
  numbers.draw(head);
  drawButtons(head);
  const failed = head && ['failed', 'died', 'silent'].includes(head.state);
  say($('#mm-alarm', place), failed ? `${head.word}. ${head.message}` : '');
  const late = Boolean(asked) && asked.kind !== 'resume' && Date.now() > Math.max(asked.at + PATIENCE, waitUntil);
  $('#mm-patience', place).hidden = !late;
}

/** What was asked here, or in another tab and is still on its way; over once the trainer says so. */
function settle(head) {
  if (!head?.alive || (asked && ASKED[asked.kind].done.includes(head.state))) asked = null;
  if (asked?.sent && head !== asked.seen) {
    // taken back in another tab: twice in a row nothing waits, and nothing of it is under way
    asked.quiet = head.asked || ['pausing', 'stopping'].includes(head.state) ? 0 : asked.quiet + 1;
    asked.seen = head;
    if (asked.quiet > 1) asked = null;
  }
  if (asked || !head?.alive) return;
  const waits = head.asked ?? (head.state === 'stopping' ? { kind: 'stop', seconds: 0 } : null);
  if (waits && !ASKED[waits.kind].done.includes(head.state)) asked = { kind: waits.kind, at: Date.now() - 1000 * waits.seconds, sent: true, quiet: 0 };
}

/** Beside the name: what is wrong, who drives it, or which preset on which model. */
function about(head) {
  const line = $('#mm-on', place),
    { info } = state;
  const own = head && (head.failure || head.state === 'silent' || (head.state === 'paused' && head.message !== 'Paused'));
  const said = !head
    ? ''
    : head.watched
      ? 'Watching. This run is driven elsewhere.'
      : own
        ? head.message
        : info
          ? `${presetName(info.preset)} on ${modelName(info.config.model)}${head.branch ? `, from ${head.branch.of} at ${head.branch.at}` : ''}`
          : '';
  say(line, head && unheard ? unheard : said);
  line.title = line.textContent;
  line.classList.toggle('told', Boolean(head && (unheard || head.watched || own)));
}

/** "Reward up, variety down" on every screen; the verdict too where Live is not seen. */
function verdict(head) {
  const note = $('#mm-away', place);
  // beside a setup that is being made, the verdict on a run that is over reads as one on the setup
  const live = head && !state.replay && head.newest > 0 && (head.alive || state.screen !== 'setup');
  const alarm = live ? head.alarms.find((a) => a.kind === 'parting') : null;
  const word = live && state.screen !== 'live' && ['Narrowing', 'Collapsing'].includes(head.verdict) ? head.verdict : '';
  const said = alarm ? (word ? `${word}: reward up, variety down` : 'Reward up, variety down') : word;
  if (note.dataset.said === said) return;
  note.dataset.said = said;
  const bad = head?.verdict === 'Collapsing';
  note.className = `away ${bad ? 'bad' : 'warn'}`;
  note.title = alarm ? `Since iteration ${alarm.iteration}. ${alarm.message}` : '';
  note.replaceChildren(...(said ? [icon(bad ? 'warn' : 'down', 14), h('span', {}, said)] : []));
}

const presetName = ({ title, changes }) => (changes ? `${title}, ${changes} ${changes === 1 ? 'change' : 'changes'}` : title);
const EMBEDDED = { 'emoji-sd3': 'Emoji SD3', 'emoji-ddpm': 'Emoji DDPM' };
export const modelName = (model) => EMBEDDED[model] ?? apart(model.split(/[\\/]/).filter(Boolean).pop() || model);

function drawButtons(head) {
  const mine = Boolean(head && !head.watched && head.state !== 'replay'),
    alive = mine && head.alive,
    paused = alive && ['paused', 'pausing'].includes(head.state);
  const pause = $('#mm-pause', place),
    stop = $('#mm-stop', place),
    stopping = asked?.kind === 'stop' || head?.state === 'stopping';
  pause.hidden = stop.hidden = !alive;
  $('#mm-resume', place).hidden = !mine || alive || head.iteration >= head.iterations;
  say($('.word', pause), asked && !stopping ? ASKED[asked.kind].word : paused ? 'Resume' : 'Pause');
  if (pause.dataset.icon !== String(paused)) {
    pause.dataset.icon = String(paused);
    $('.ic', pause).replaceChildren(icon(paused ? 'play' : 'pause'));
  }
  pause.disabled = !alive || Boolean(asked);
  say($('.word', stop), stopping ? 'Stopping' : 'Stop');
  stop.disabled = !alive || stopping;
}

// --- doing --------------------------------------------------------------------------------------------------------
async function pauseOrResume() {
  if (state.head?.alive && !asked) await ask(['paused', 'pausing'].includes(state.head.state) ? 'resume' : 'pause');
}

const resume = () => attempt('Resume', () => post(runPath('resume')));

/** Do what a button says; a refusal, or that the server does not answer, is said beside the name until something else is pressed. */
async function attempt(word, act) {
  unheard = '';
  try {
    await act();
  } catch (problem) {
    asked = null;
    unheard = problem.status ? problem.message : `${word} did not reach the trainer. ${problem.message}`;
    draw();
  }
  poll();
}

async function ask(kind) {
  if (!state.head?.alive || state.head.watched) return;
  const mine = (asked = { kind, at: Date.now(), sent: false, quiet: 0 });
  waitUntil = 0;
  draw();
  await attempt(kind[0].toUpperCase() + kind.slice(1), () => command({ kind }));
  mine.sent = true;
}

export async function endNow() {
  asked = null;
  $('#mm-patience', place).hidden = true;
  await attempt('Stop now', () => post(runPath('end')));
}
