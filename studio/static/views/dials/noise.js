// Prompt noise: its strength, and the two steps between which it fades.

import { h, say, clamp, plain } from '../../lib/dom.js';
import { state } from '../../lib/store.js';
import { FADE, NOISE, fadeStep, fadeTau, write } from './rows.js';
import { at, ghostAt, lines, slider } from './parts.js';
import { pending, turn, turnable, value } from './turning.js';

const NAMES = [NOISE.name, FADE.low, FADE.high];

export function noise() {
  const words = h('span', { class: 'words' }),
    bar = h('s', {}),
    ghosts = [h('span', { class: 'was', hidden: true }), h('span', { class: 'was', hidden: true })];
  const thumbs = [thumb('Prompt noise in full up to step', 0), thumb('Prompt noise gone from step', 1)];
  const two = h('span', { class: 'two', role: 'group', 'aria-label': 'Where the prompt noise fades' }, bar, ghosts, thumbs);
  const row = slider(NOISE, h('div', { class: 'fade', title: 'Full strength up to the first step, gone from the second.' }, words, two));

  function thumb(name, which) {
    return h('input', { type: 'range', step: 1, 'aria-label': name, oninput: (e) => move(which, Number(e.target.value)), ondblclick: usual });
  }
  function usual() {
    const T = state.info.config.steps;
    turnFade(Math.round(T * 0.1), Math.max(Math.round(T * 0.1) + 1, Math.round(T * 0.4)));
  }
  function move(which, step) {
    const T = state.info.config.steps;
    const now = ends();
    which ? turnFade(Math.min(now[0], step - 1), clamp(step, 1, T)) : turnFade(clamp(step, 0, T - 1), Math.max(now[1], step + 1));
  }
  const ends = () => [value(FADE.low), value(FADE.high)].map((tau) => fadeStep(tau, state.info.config.steps));

  function paint() {
    row.paint();
    const { head, info } = state;
    for (const t of thumbs) t.disabled = !turnable();
    if (!head || !info) {
      say(words, 'Fades');
      for (const g of ghosts) g.hidden = true;
      return;
    }
    const T = info.config.steps,
      now = ends(),
      waits = [pending(FADE.low), pending(FADE.high)];
    thumbs.forEach((t, i) => {
      t.min = 0;
      t.max = T;
      t.value = now[i];
      t.setAttribute('aria-valuetext', `step ${plain(now[i])}${waits[i] ? `, takes effect at iteration ${waits[i].from}` : ''}`);
      ghosts[i].hidden = !waits[i];
      if (waits[i]) ghosts[i].style.left = ghostAt(fadeStep(waits[i].old, T) / T);
    });
    bar.style.left = at(now[0] / T);
    bar.style.right = `calc(100% - ${at(now[1] / T)})`;
    say(words, `Fades, step ${plain(now[0])} to ${plain(now[1])}`);
    const scale = pending(NOISE.name),
      fades = waits.some(Boolean);
    const old = waits.map((w, i) => (w ? fadeStep(w.old, T) : now[i]));
    const change = [
      scale && `${write(NOISE, scale.old)} → ${write(NOISE, scale.value)}`,
      fades && `${scale ? '' : 'steps '}${old.map(plain).join('–')} → ${now.map(plain).join('–')}`,
    ];
    lines(row.note, NAMES, NOISE.help, change.filter(Boolean).join(', '));
  }
  return { node: row.node, paint };
}

/** Fade between two steps, the first below the second. */
export function turnFade(low, high) {
  const T = state.info.config.steps;
  turn({ [FADE.low]: fadeTau(clamp(low, 0, T - 1), T), [FADE.high]: fadeTau(clamp(high, 1, T), T) });
}
