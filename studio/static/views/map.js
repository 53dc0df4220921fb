// The map: base pictures stay as hollow dots and dashed hulls, the last eight iterations are solid glyphs.

import { $, h, icon, lookLetter, percent, say, svg } from '../lib/dom.js';
import { looksOf, on, promptInfo, select, sharesAt, state, view, viewed } from '../lib/store.js';
import { redraw } from './live.js';
import { Card, nearest } from './mapcard.js';
import { drawDots, drawGround } from './mapdraw.js';
import { Frame } from './mapframe.js';
import { drawChips } from './map/chips.js';
import { demoBase } from './map/demo.js';
import { spoken } from './map/facts.js';
import { Lasso, seen } from './map/lasso.js';
import { mapMenu } from './map/menu.js';
import { INKS, Legend, mappedPrompts, paint } from './map/paint.js';
import { pointing } from './map/pointing.js';
import { promptList } from './map/prompts.js';
import { mapTable } from './map/table.js';

const KEYS = 'Map. Up and down walk the looks, left and right their pictures, Enter pins one, plus and minus zoom.';
const OLDEST = 7; // the age that selected pictures keep when they have left the last eight iterations

export function map(root) {
  root.setAttribute('role', 'group');
  const canvas = h('canvas', { role: 'img' });
  const over = svg('100%', '100%', '<path class="lasso" d=""/><circle class="ring" r="9.5" visibility="hidden"/>', {
    class: 'over',
    'aria-hidden': 'true',
  });
  const chips = h('div', { class: 'chips', 'aria-hidden': 'true' });
  const hint = h('p', { class: 'hint' });
  const told = h('p', { class: 'told', 'aria-hidden': 'true' }); // `heard` says it too
  const heard = h('p', { class: 'sr', 'aria-live': 'polite' });
  const legend = new Legend();
  const table = mapTable();
  const frame = new Frame();
  const card = new Card(frame, (more, pinned) => say(heard, `${spoken(more)}${pinned ? ' Pinned.' : ''}`));
  const lasso = new Lasso(frame, $('.lasso', over), (words, shown) => {
    say(heard, words);
    say(told, shown ? words : '');
  });
  const area = h(
    'div',
    { class: 'area', tabindex: 0, role: 'application', 'aria-label': KEYS },
    [canvas, over, hint, chips, card.node, legend.node, told, heard],
  );
  const prompts = promptList(suitInk);
  const inks = h(
    'select',
    { class: 'sel', id: 'mm-ink', 'aria-label': 'Colour by', onchange: suitPrompt },
    INKS.map((v) => h('option', { value: v }, `Colour by ${v}`)),
  );
  const draws = h(
    'button',
    { class: 'btn sm', id: 'mm-lasso', 'aria-pressed': 'false', title: 'Draw around dots  L', onclick: turnLasso },
    icon('lasso', 14),
    'Lasso',
  );
  const fitAll = h('button', { class: 'btn sm ghost', 'aria-label': 'Fit the whole map', title: 'Fit  0', onclick: fit }, icon('fit'));
  const menu = mapMenu(draw, () => table.toggle(true));
  root.append(
    h(
      'div',
      { class: 'hd' },
      menu.node,
      h('span', { class: 'sub wide' }, 'near dots are alike pictures'),
      h('div', { class: 'r' }, prompts.node, inks, draws, fitAll),
    ),
    area,
    table.node,
  );
  let near = null;

  // --- drawing -----------------------------------------------------------------------------------------------------
  function measure() {
    const demo = demoBase(moved);
    const [keys, by] = demo ? [[...new Set(demo.look)], 'look'] : state.all ? [mappedPrompts(), 'prompt'] : [looksOf().map((l) => l.look), 'look'];
    frame.measure(demo ?? state.base, keys, by, area.clientWidth, area.clientHeight);
    if (demo) frame.corners = []; // outlines without names
  }

  function draw() {
    const ratio = devicePixelRatio || 1;
    const ctx = canvas.getContext('2d', { willReadFrequently: true });
    const [w, t] = [Math.round(frame.width * ratio), Math.round(frame.height * ratio)];
    if (canvas.width !== w || canvas.height !== t) [canvas.width, canvas.height] = [w, t];
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    const trail = state.dots.trail(viewed());
    const off = promptInfo()?.mapped === false ? 'This prompt is not on the map; its pictures are below.' : 'Laying out the map.';
    say(hint, state.info && state.base && !frame.ready && state.head?.newest >= 0 ? off : '');
    drawGround(ctx, frame);
    if (frame.ready) {
      const chosen = state.sel && new Set(state.sel.ids);
      const shown = chosen ? withChosen(trail, chosen) : trail;
      drawDots(ctx, frame, menu.base() ? state.base : null, shown, paint(inks.value), ratio, chosen);
    }
    drawOver();
    drawChips(chips, frame);
    legend.tell(inks.value, trail);
    table.draw();
    describe();
    window.manymodes.mapDrawn = { at: performance.now(), dots: trail.reduce((n, [group]) => n + group.length, state.base?.n ?? 0) };
  }

  /** Selected pictures stay on the map when newer ones have pushed them out of the trail. */
  function withChosen(trail, chosen) {
    const there = new Set(trail.flatMap(([group]) => group.map((dot) => dot.id)));
    const gone = state.dots.find(chosen).filter((dot) => !there.has(dot.id));
    return gone.length ? [[gone, OLDEST], ...trail] : trail;
  }

  function drawOver() {
    const ring = $('.ring', over);
    const dot = frame.ready && (card.pinned || near);
    ring.setAttribute('visibility', dot ? 'visible' : 'hidden');
    if (dot) {
      const [x, y] = frame.place(dot.x, dot.y);
      ring.setAttribute('cx', x.toFixed(1));
      ring.setAttribute('cy', y.toFixed(1));
    }
    lasso.draw();
  }

  function describe() {
    const shares = sharesAt(viewed());
    const each = shares ? looksOf().map(({ look }) => `look ${lookLetter(look)} ${percent(shares[look] ?? 0)}`) : ['no pictures yet'];
    const of = state.all ? `${mappedPrompts().length} prompts` : (promptInfo()?.text ?? '');
    const what = state.all ? '' : `: ${each.join(', ')}`;
    const text = `Map of the pictures for ${of} at iteration ${viewed()}${what}.`;
    if (canvas.getAttribute('aria-label') !== text) canvas.setAttribute('aria-label', text);
  }

  // --- what a person does -------------------------------------------------------------------------------------------
  function fit() {
    frame.fit();
    moved();
  }
  function moved() {
    measure();
    draw();
    if (card.pinned) card.move(card.pinned);
  }
  function turnLasso() {
    const is = draws.getAttribute('aria-pressed') !== 'true';
    draws.setAttribute('aria-pressed', String(is));
    area.classList.toggle('drawing', is);
    say(told, is ? 'Draw around some dots. By keyboard, walk to a dot: Enter takes its look.' : '');
  }
  /** Letters of looks mean something for one prompt only, so all prompts are coloured by prompt; and the other way round. */
  function suitInk() {
    if (state.all && inks.value === 'look') inks.value = 'prompt';
    if (!state.all && inks.value === 'prompt') inks.value = 'look';
  }
  function suitPrompt() {
    if (inks.value === 'prompt' && !state.all && mappedPrompts().length > 1) view({ all: true });
    else if (inks.value === 'look' && state.all) view({ all: false });
    draw();
  }

  function point(dot) {
    if (dot?.id === near?.id) return;
    near = dot;
    drawOver();
    card.show(dot);
  }
  function close() {
    near = null;
    card.hide();
    drawOver();
  }
  function pin() {
    card.pin(card.pinned === near ? null : near);
    drawOver();
  }
  function takeGroup() {
    const kind = state.all ? 'prompt' : 'look';
    const shown = seen();
    lasso.take(shown.filter((dot) => dot[kind] === near[kind]).map((dot) => dot.id), shown.length);
  }
  pointing(area, {
    frame,
    lasso,
    card,
    drawing: () => draws.getAttribute('aria-pressed') === 'true',
    near: () => near,
    nearest: (x, y) => nearest(frame, x, y, menu.base() && state.base),
    point,
    pin,
    close,
    moved,
    takeGroup,
  });
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || event.defaultPrevented || document.querySelector('dialog[open], :popover-open') || !root.clientWidth) return;
    if (card.pinned || near) close();
    else if (state.sel) select(null);
    else if (draws.getAttribute('aria-pressed') === 'true') turnLasso();
  });

  // --- keeping up --------------------------------------------------------------------------------------------------
  const later = redraw(area, 'dots view theme rows sel', () => {
    if (area.clientWidth !== frame.width || area.clientHeight !== frame.height) measure();
    draw();
  });
  function fresh() {
    near = null;
    card.hide();
    lasso.clear();
    measure();
    prompts.draw();
    suitInk();
    const one = mappedPrompts().length < 2;
    for (const option of inks.options) option.hidden = one && option.value === 'prompt';
    say(legend.much, state.base?.n ? `base model, ${state.base.n} pictures, never moves` : 'base model, never moves');
    later();
  }
  on('base info run', fresh);
  on('view', () => {
    prompts.draw();
    if (!state.base) measure();
  });
  on('fit', fit);
  on('point', () => {
    const dot = state.pointed && seen().find((d) => d.id === state.pointed);
    point(dot || null);
  });
  fresh(); // this screen may be built long after the run was read
}
