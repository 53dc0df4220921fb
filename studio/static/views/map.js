// The map: base pictures stay as hollow dots and dashed hulls, the last eight iterations are solid glyphs.

import { $, glyph, h, icon, lookLetter, percent, say } from '../lib/dom.js';
import { looksOf, on, promptInfo, sharesAt, state, thumb, view, viewed } from '../lib/store.js';
import { redraw } from './live.js';
import { Card, nearest } from './mapcard.js';
import { drawBase, drawRing, drawTrail, legend } from './mapdraw.js';
import { Frame } from './mapframe.js';

export function map(root) {
  root.setAttribute('role', 'group');
  const frame = new Frame();
  const card = new Card(frame);
  const canvas = h('canvas');
  const chips = h('div', { class: 'chips' });
  const hint = h('p', { class: 'hint' });
  const area = h('div', { class: 'area', tabindex: 0, role: 'img' }, canvas, hint, chips, card.node, legend());
  const prompts = h('select', {
    class: 'sel',
    id: 'mm-prompt',
    'aria-label': 'Prompt',
    onchange: () => view({ prompt: Number(prompts.value) }),
  });
  const inks = ['look', 'reward', 'iteration'].map((v) => h('option', { value: v }, `Colour by ${v}`));
  const paintBy = h('select', { class: 'sel', 'aria-label': 'Colour by', onchange: draw }, inks);
  const showBase = h(
    'button',
    { class: 'btn sm', id: 'mm-base', 'aria-pressed': 'true', title: 'Base pictures on or off  B', onclick: toggleBase },
    'Base',
  );
  const fitAll = h('button', { class: 'btn sm ghost', 'aria-label': 'Fit the whole map', title: 'Fit  0', onclick: fit }, icon('fit'));
  root.append(
    h(
      'div',
      { class: 'hd' },
      h('h2', {}, 'Map'),
      h('span', { class: 'sub wide' }, 'a dot is a picture; near means alike'),
      h('div', { class: 'r' }, prompts, paintBy, showBase, fitAll),
    ),
    area,
  );
  let near = null;

  const baseShown = () => showBase.getAttribute('aria-pressed') === 'true';
  const measure = () => frame.measure(state.base, looksOf(), area.clientWidth, area.clientHeight);
  function toggleBase() {
    showBase.setAttribute('aria-pressed', String(!baseShown()));
    draw();
  }
  function fit() {
    frame.fit();
    measure();
    draw();
  }

  function draw() {
    const ratio = devicePixelRatio || 1;
    const ctx = canvas.getContext('2d');
    const [w, t] = [Math.round(frame.width * ratio), Math.round(frame.height * ratio)];
    if (canvas.width !== w || canvas.height !== t) [canvas.width, canvas.height] = [w, t];
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, frame.width, frame.height);
    const trail = state.dots.trail(viewed());
    const off = promptInfo()?.mapped === false ? 'This prompt is not on the map; its pictures are below.' : 'Laying out the map.';
    say(hint, state.info && !frame.ready && state.head?.newest >= 0 ? off : '');
    if (frame.ready) {
      drawBase(ctx, frame, state.base, baseShown());
      drawTrail(ctx, frame, trail, paintBy.value);
      if (card.pinned || near) drawRing(ctx, frame, card.pinned || near);
    }
    drawChips();
    describe();
    window.manymodes.mapDrawn = { at: performance.now(), dots: trail.reduce((n, [group]) => n + group.length, state.base?.n ?? 0) };
  }

  function drawChips() {
    const shares = sharesAt(viewed());
    const looks = new Map(looksOf().map((l) => [l.look, l]));
    const key = `${state.run}:${state.prompt}:${frame.hulls.map((g) => g.look).join()}`;
    if (chips.dataset.key !== key) {
      chips.dataset.key = key;
      chips.replaceChildren(...frame.hulls.map(({ look }) => chip(looks.get(look))));
    }
    frame.hulls.forEach(({ look }, i) => {
      const { left, top } = frame.corners[i];
      const moved = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
      if (chips.children[i].style.transform !== moved) chips.children[i].style.transform = moved;
      say($('.now', chips.children[i]), shares ? percent(shares[look] ?? 0) : '');
    });
  }

  function describe() {
    const shares = sharesAt(viewed());
    const each = shares ? looksOf().map(({ look }) => `look ${lookLetter(look)} ${percent(shares[look] ?? 0)}`) : ['no pictures yet'];
    const text = `Map of the pictures for ${promptInfo()?.text ?? ''} at iteration ${viewed()}: ${each.join(', ')}`;
    if (area.getAttribute('aria-label') !== text) area.setAttribute('aria-label', text);
  }

  // --- pointing ----------------------------------------------------------------------------------------------------
  function point(dot) {
    if (dot?.id === near?.id) return;
    near = dot;
    draw();
    card.show(dot);
  }
  function close() {
    near = null;
    card.hide();
    draw();
  }
  function pin() {
    card.pin(card.pinned === near ? null : near);
    draw();
  }
  const pixel = (event) => {
    const box = area.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  let drag = null;
  area.addEventListener('pointermove', (event) => {
    if (!frame.ready) return;
    const [x, y] = pixel(event);
    if (!drag) return point(nearest(frame, x, y, baseShown()));
    drag.far ||= Math.hypot(x - drag.x, y - drag.y) > 4;
    if (!drag.far) return;
    frame.zoom = { k: drag.zoom.k, x: drag.zoom.x + x - drag.x, y: drag.zoom.y + y - drag.y };
    measure();
    close();
  });
  area.addEventListener('pointerdown', (event) => {
    const [x, y] = pixel(event);
    drag = { x, y, zoom: frame.zoom, far: false };
    area.setPointerCapture(event.pointerId);
  });
  area.addEventListener('pointerup', () => {
    if (drag && !drag.far) pin();
    drag = null;
  });
  area.addEventListener('pointerleave', () => drag || point(null));
  area.addEventListener(
    'wheel',
    (event) => {
      event.preventDefault();
      frame.turn(...pixel(event), event.deltaY);
      measure();
      draw();
    },
    { passive: false },
  );
  area.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') return close();
    if (event.key === 'Enter' && near) return pin();
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    // through the newest pictures, look by look, best first
    const newest = state.dots.trail(viewed()).at(-1)?.[0] ?? [];
    const all = newest.filter((dot) => dot.x === dot.x).sort((a, b) => a.look - b.look || b.reward - a.reward);
    if (all.length) point(all[(all.findIndex((dot) => dot.id === near?.id) + step + all.length) % all.length]);
  });

  // --- keeping up --------------------------------------------------------------------------------------------------
  function listPrompts() {
    const all = state.info?.prompts ?? [];
    const mapped = all.filter((p) => p.mapped);
    const key = `${state.run}:${all.length}:${mapped.length}`;
    if (prompts.dataset.key !== key) {
      prompts.dataset.key = key;
      const option = (p) => h('option', { value: p.prompt }, p.text.slice(0, 80));
      const rest = all
        .filter((p) => !p.mapped)
        .slice(0, 500)
        .map(option);
      prompts.replaceChildren(...mapped.map(option), ...(rest.length ? [h('optgroup', { label: 'Not on the map' }, rest)] : []));
    }
    prompts.value = String(state.prompt);
  }
  const later = redraw(area, 'dots view theme rows', () => {
    if (area.clientWidth !== frame.width || area.clientHeight !== frame.height) measure();
    draw();
  });
  function fresh() {
    near = null;
    card.hide();
    measure();
    listPrompts();
    say($('.much', root), state.base?.n ? `base model, ${state.base.n} pictures, never moves` : 'base model, never moves');
    later();
  }
  on('base info run', fresh);
  on('view', listPrompts);
  on('fit', fit);
  fresh(); // this screen may be built long after the run was read
}

function chip({ look, share, picture }) {
  const now = h('b', {}, glyph(look), h('span', {}, lookLetter(look)), h('span', { class: 'now' }));
  return h(
    'div',
    { class: 'chip' },
    h('img', { alt: '', src: thumb(picture), width: 30, height: 30 }),
    h('div', {}, now, h('span', { class: 'then' }, `base ${percent(share)}`)),
  );
}
