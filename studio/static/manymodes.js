// The studio's one script: mounts views as Gradio builds their places, follows the screens, starts the polling.

import { state, on, emit, poll, writeAddress } from './lib/store.js';
import { installKeys } from './lib/keys.js';
import { strip } from './views/strip.js';
import { setup } from './views/setup.js';
import { live } from './views/live.js';
import { compare } from './views/compare.js';
import { runs } from './views/runs.js';
import { lesson } from './views/lesson.js';

// the screen to begin with, read at once: with a run the address is written anew, perhaps before Gradio has built the tabs
let asked = new URLSearchParams(location.search).get('screen');
const VIEWS = { strip, setup, live, compare, runs, lesson };

function mount(place) {
  if (place.dataset.mounted) return;
  place.dataset.mounted = 'yes';
  VIEWS[place.dataset.view](place);
}

// Views ask for their script as soon as Gradio has built them; those that came first are waiting in the list.
const waiting = window.manymodesViews || [];
window.manymodesViews = { push: mount };
waiting.forEach(mount);

// --- screens ------------------------------------------------------------------------------------------------------
const tab = (name) => document.getElementById(`tab-${name}-button`);

export function show(name) {
  const button = tab(name);
  if (!button) asked = name;
  if (button && button.getAttribute('aria-selected') !== 'true') button.click();
}

document.addEventListener('click', (event) => {
  const button = event.target.closest?.('#screens [role=tab]');
  if (button) opened(button.dataset.tabId);
});

function opened(name) {
  if (state.screen === name) return;
  state.screen = name;
  localStorage.setItem('manymodes.screen', name);
  writeAddress();
  emit('screen');
}

document.addEventListener('keydown', (event) => {
  const button = event.target.closest?.('#screens [role=tab]');
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (!button || !step) return;
  const all = [...button.parentNode.querySelectorAll('[role=tab]')];
  const next = all[(all.indexOf(button) + step + all.length) % all.length];
  event.preventDefault();
  next.focus();
  next.click();
});

/** Open the screen of the address, else the one used last, at first the Lesson. Gradio builds the tabs a moment after this script runs. */
function firstScreen() {
  const button = tab('setup');
  if (!button) return setTimeout(firstScreen, 30);
  const wanted = asked || localStorage.getItem('manymodes.screen') || 'lesson';
  if (!state.screen) opened(tab(wanted) ? wanted : 'setup'); // else a tab was pressed already
  return hold();
}

/** Show the screen until it has stayed for two seconds: on a slow computer Gradio shows its own first tab after ours was pressed, or does not hear the press yet. */
function hold(stayed = 0) {
  const there = tab(state.screen)?.getAttribute('aria-selected') === 'true';
  if (!there) show(state.screen);
  if (stayed < 40) setTimeout(hold, 50, there ? stayed + 1 : 0);
}

// --- light and dark -----------------------------------------------------------------------------------------------
function paint(theme) {
  document.documentElement.dataset.theme = theme;
  document.body.classList.toggle('dark', theme === 'dark');
  emit('theme');
}

function turnTheme() {
  const theme = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  localStorage.setItem('manymodes.theme', theme);
  paint(theme);
}

// what is painted on a canvas follows the person's own colours only when it is painted anew
matchMedia('(forced-colors: active)').addEventListener('change', () => emit('theme'));

window.manymodes = Object.assign(window.manymodes || {}, { state, show, turnTheme, files: new URL('.', import.meta.url).pathname });
installKeys({ show, turnTheme });
on('lost head runs', lostBand);
firstScreen();
paint(document.documentElement.dataset.theme);
poll();

/** A band on top while the server does not answer. The run is a process of its own and goes on. */
function lostBand() {
  const lost = state.failures >= 3;
  let band = document.getElementById('mm-lost');
  if (lost && !band) {
    band = Object.assign(document.createElement('div'), {
      id: 'mm-lost',
      textContent: 'Lost the studio’s server. The run goes on by itself. Trying again every second.',
    });
    band.setAttribute('role', 'alert');
    document.body.append(band);
  } else if (!lost && band) band.remove();
}
