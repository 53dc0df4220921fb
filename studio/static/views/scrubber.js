// When did it happen: iterations on a small variety curve, diamonds where a dial was turned, follow and replay.

import { $, h, icon, say, svg, clamp } from '../lib/dom.js';
import { area, clip, dot, group, ink, stroke, through, turned, unique } from '../lib/marks.js';
import { state, on, view, viewed, newest, following } from '../lib/store.js';
import { redraw } from './live.js';
import { marksOf } from './dials.js';

const SPEEDS = [0.25, 0.5, 1, 2, 4];
const PACE = 100; // milliseconds per iteration at speed 1
const CALM = matchMedia('(prefers-reduced-motion: reduce)');
const MOST = 600; // points of the curve

export function scrubber(root) {
  const play = h(
    'button',
    { class: 'pl', id: 'mm-play', 'aria-label': 'Play replay', title: 'Play or pause the replay  K', onclick: toggle },
    icon('play'),
  );
  const line = h('div', { class: 'tl', role: 'slider', tabindex: 0, 'aria-label': 'Iteration', 'aria-valuemin': 0 });
  const at = h('span', { class: 'at' }, h('b', {}), h('span', {}));
  const speed = h(
    'select',
    { class: 'sel', 'aria-label': 'Replay speed' },
    SPEEDS.map((s) => h('option', { value: s, selected: s === 1 }, `${s === 0.25 ? '¼' : s === 0.5 ? '½' : s} ×`)),
  );
  const follow = h(
    'button',
    {
      class: 'follow',
      id: 'mm-follow',
      title: 'Ride the newest iteration  F',
      onclick: () => {
        stop();
        view({ iteration: null });
      },
    },
    h('i', {}),
    'Follow',
  );
  root.append(play, line, at, speed, follow);
  const past = unique('mm-past');
  let timer = null;

  function toggle() {
    if (timer) return stop();
    if (following()) view({ iteration: 0 });
    paintPlay(true);
    return tick();
  }
  function stop() {
    clearTimeout(timer);
    timer = null;
    paintPlay(false);
  }
  function tick() {
    view({ iteration: viewed() + 1 });
    if (following()) return stop();
    timer = setTimeout(tick, CALM.matches ? 500 : PACE / Number(speed.value));
    return undefined;
  }
  function paintPlay(on) {
    play.replaceChildren(icon(on ? 'pause' : 'play'));
    play.setAttribute('aria-label', on ? 'Pause replay' : 'Play replay');
  }

  function draw() {
    const W = line.clientWidth;
    const last = Math.max(newest(), 1);
    const here = viewed();
    const rows = thin(state.rows);
    const top = Math.max(rows[0]?.base || 1, ...rows.map((r) => r.variety));
    const X = (t) => 6 + (t / last) * (W - 12);
    const Y = (v) => 30 - ((v - 1) / Math.max(top - 1, 0.5)) * 24;
    let s = '';
    if (rows.length) {
      const curve = through(rows.map((r) => [X(r.iteration), Y(r.variety)]));
      s += area(`${curve}L${X(last)} 34L6 34Z`, '--sunken') + stroke(curve, '--line-2', 1.25);
      s += clip(past, X(here), 46) + stroke(curve, '--text-2', 1.5, { 'clip-path': `url(#${past})` });
    }
    const round = { 'stroke-linecap': 'round' };
    s += stroke(`M6 34.5H${W - 6}`, '--track', 3, round) + stroke(`M6 34.5H${X(here)}`, '--ink', 3, round);
    for (const turn of marksOf(state.head?.turns ?? [])) {
      if (turn.iteration > last) continue;
      const x = X(turn.iteration);
      const mark = stroke(`M${x} 2V29`, '--text-3', 1, { 'stroke-dasharray': '2 2.5' }) + turned(x, 34.5);
      s += group({ class: 'turn' }, mark, `Iteration ${turn.iteration}: ${turn.text}`);
    }
    s += dot(X(here), 34.5, 6.5, { fill: ink('--panel'), stroke: ink('--ink'), 'stroke-width': 1.75 });
    line.replaceChildren(svg(W, 44, s, { 'aria-hidden': 'true' }));
    line.setAttribute('aria-valuemax', String(newest()));
    line.setAttribute('aria-valuenow', String(here));
    line.setAttribute('aria-valuetext', `Iteration ${here} of ${newest()}`);
    // figure spaces, as wide as a digit: a tenth iteration must not push the words
    const digits = String(state.head?.iterations ?? '').length;
    say($('b', at), String(here).padStart(digits, '\u2007'));
    say($('span', at), ` of ${newest()}`.padEnd(digits + 4, '\u2007'));
    follow.setAttribute('aria-pressed', String(following()));
  }

  const go = (e) => {
    const r = line.getBoundingClientRect();
    view({ iteration: clamp((e.clientX - r.left - 6) / (r.width - 12), 0, 1) * newest() });
  };
  line.addEventListener('pointerdown', (e) => {
    stop();
    line.setPointerCapture(e.pointerId);
    line.onpointermove = go;
    go(e);
  });
  line.addEventListener('pointerup', () => {
    line.onpointermove = null;
  });
  line.addEventListener('keydown', (e) => {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[e.key];
    if (step) view({ iteration: viewed() + step * (e.shiftKey ? 10 : 1) });
    else if (e.key === 'Home') view({ iteration: 0 });
    else if (e.key === 'End') view({ iteration: null });
    else return;
    e.preventDefault();
  });
  redraw(line, 'rows view theme run turns', draw);
  on('run', stop);
}

/** At most `MOST` rows, the last always among them: a line of more points only costs time. */
export function thin(rows) {
  if (rows.length <= MOST) return rows;
  const step = Math.ceil(rows.length / MOST);
  return rows.filter((_, i) => i % step === 0 || i === rows.length - 1);
}
