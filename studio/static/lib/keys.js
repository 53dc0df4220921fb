// Shortcuts, never while typing, and the list of them.

import { state, view, viewed, emit } from './store.js';
import { $, h } from './dom.js';

const LIST = [
  ['1 to 5', 'Setup, Live, Compare, Runs, Lesson'],
  ['Ctrl Enter', 'Start training'],
  ['Space', 'Pause or resume the run'],
  ['Shift S', 'Stop the run'],
  ['K', 'Play or pause the replay'],
  ['← →', 'Iteration before, after (Shift: ten)'],
  ['F', 'Follow the newest iteration'],
  ['L', 'Draw around dots on the map'],
  ['G', 'Sample now'],
  ['0', 'Fit the whole map'],
  ['B', 'Base pictures on or off'],
  ['D', 'Dials, where they are a drawer'],
  ['[ ]', 'Prompt before, after'],
  ['/', 'Search: prompts in Compare, runs in Runs'],
  ['N', 'Next seeds in Compare'],
  ['P', 'Present the lesson'],
  ['→ ← Space', 'In the lesson: next step, step before, go on'],
  ['T', 'Light or dark'],
  ['?', 'This list'],
  ['Esc', 'Clear, close'],
];

export const typing = (target) => target.closest?.('input:not([type=range], [type=checkbox], [type=radio]), textarea, select, [contenteditable]');

export function installKeys({ show, turnTheme }) {
  const click = (id) => document.getElementById(id)?.click();
  const live = (act) => () => state.screen === 'live' && act();
  const step = (by) => live(() => view({ iteration: viewed() + by }))();
  const plain = {
    1: () => show('setup'),
    2: () => show('live'),
    3: () => show('compare'),
    4: () => show('runs'),
    5: () => show('lesson'),
    ' ': () => click('mm-pause'),
    k: live(() => click('mm-play')),
    f: live(() => view({ iteration: null })),
    0: live(() => emit('fit')),
    b: live(() => click('mm-base')),
    l: live(() => click('mm-lasso')),
    g: live(() => click('mm-sample')),
    n: () => state.screen === 'compare' && click('mm-next-seeds'),
    p: () => state.screen === 'lesson' && click('mm-present'),
    '/': () => document.getElementById({ compare: 'mm-search', runs: 'mm-find-runs' }[state.screen])?.focus(),
    d: live(() => click('mm-drawer')),
    t: turnTheme,
    '?': toggleList,
    '[': live(() => prompt(-1)),
    ']': live(() => prompt(1)),
  };
  document.addEventListener('keydown', (event) => {
    if ($('dialog[open]') && event.key !== '?') return; // what lies behind it is not meant
    if (event.ctrlKey || event.metaKey || event.altKey) {
      if (event.key === 'Enter' && event.ctrlKey && state.screen === 'setup') click('mm-start');
      return;
    }
    if (typing(event.target)) return;
    const tag = event.target.tagName;
    if (event.key === ' ' && (tag === 'BUTTON' || tag === 'SUMMARY' || event.target.matches?.('[type=checkbox], [type=radio]'))) return;
    if (event.key.startsWith('Arrow')) {
      if (tag === 'INPUT' || event.target.closest?.('[role=tab], [role=radio], [role=slider], .mm-map')) return;
      if (event.key === 'ArrowLeft') step(event.shiftKey ? -10 : -1);
      if (event.key === 'ArrowRight') step(event.shiftKey ? 10 : 1);
      return;
    }
    if (event.key === 'S' && event.shiftKey) return click('mm-stop');
    const action = plain[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (action) {
      event.preventDefault();
      action();
    }
  });
}

function prompt(by) {
  const choices = state.info?.prompts.filter((p) => p.mapped) ?? [];
  const at = choices.findIndex((p) => p.prompt === state.prompt);
  if (choices[at + by]) view({ prompt: choices[at + by].prompt });
}

export function toggleList() {
  const open = $('#mm-keys');
  if (open) return open.open ? open.close() : open.showModal();
  const box = h(
    'dialog',
    { id: 'mm-keys', class: 'mm', 'aria-label': 'Keyboard shortcuts', onclick: (e) => e.target === box && box.close() },
    h('h2', {}, 'Keyboard shortcuts'),
    h(
      'dl',
      {},
      LIST.map(([key, what]) => [h('dt', {}, key), h('dd', {}, what)]),
    ),
    h('button', { class: 'btn', onclick: () => box.close() }, 'Close'),
  );
  document.body.append(box);
  box.showModal();
  box.scrollTop = 0; // in a low window it would begin at its one button, which has the focus
}
