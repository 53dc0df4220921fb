// The map: base pictures stay as hollow dots and dashed hulls, the last eight iterations are solid glyphs.

import { $, h, icon, svg, say, glyph, glyphPath, colour, lookColour, clamp, percent, lookLetter, lookName, fixed, NEW, NONE } from '../lib/dom.js';
import { state, on, get, view, viewed, thumb, runPath, looksOf, sharesAt, promptInfo } from '../lib/store.js';
import { hull, core, soften, placeLabels } from '../lib/hull.js';
import { redraw } from './live.js';

const CHIP = [112, 38];
const REACH = 12; // pixels
const CARD_DELAY = 80; // milliseconds

export function map(root) {
  root.setAttribute('role', 'group');
  const canvas = h('canvas', {}), chips = h('div', { class: 'chips' }), card = h('div', { class: 'card', hidden: true }), hint = h('p', { class: 'hint' });
  const area = h('div', { class: 'area', tabindex: 0, role: 'img' }, canvas, hint, chips, card, legend());
  const prompts = h('select', { class: 'sel', id: 'mm-prompt', 'aria-label': 'Prompt', onchange: (e) => view({ prompt: Number(e.target.value) }) });
  const paintBy = h('select', { class: 'sel', 'aria-label': 'Colour by', onchange: () => draw() }, ['look', 'reward', 'iteration'].map((v) => h('option', { value: v }, `Colour by ${v}`)));
  const showBase = h('button', { class: 'btn sm', id: 'mm-base', 'aria-pressed': 'true', title: 'Base pictures on or off  B', onclick: toggleBase }, 'Base');
  root.append(h('div', { class: 'hd' }, h('h2', {}, 'Map'), h('span', { class: 'sub wide' }, 'a dot is a picture; near means alike'),
    h('div', { class: 'r' }, prompts, paintBy, showBase, h('button', { class: 'btn sm ghost', 'aria-label': 'Fit the whole map', title: 'Fit  0', onclick: fit }, icon('fit')))), area);

  let W = 0, H = 0, frame = null, zoom = { k: 1, x: 0, y: 0 }, hulls = [], near = null, pinned = null, cardTimer = null, chipKey = '', bounds = null, chipPlaces = [];

  function toggleBase() {
    showBase.setAttribute('aria-pressed', String(showBase.getAttribute('aria-pressed') !== 'true'));
    draw();
  }
  const baseShown = () => showBase.getAttribute('aria-pressed') === 'true';
  function fit() {
    zoom = { k: 1, x: 0, y: 0 };
    measure();
    draw();
  }

  /** Bounds come from the base pictures alone and are fixed with them, so the map stays still. */
  function measure() {
    const base = state.base;
    frame = null;
    hulls = [];
    if (!base || !base.n || !W) return;
    if (!bounds || bounds.of !== base) {
      const xs = [], ys = [];
      for (let i = 0; i < base.n; i++) if (base.x[i] === base.x[i]) { xs.push(base.x[i]); ys.push(base.y[i]); }
      if (!xs.length) return;
      bounds = { of: base, left: Math.min(...xs), right: Math.max(...xs), bottom: Math.min(...ys), top: Math.max(...ys) };
    }
    const sx = (W - 110) / (bounds.right - bounds.left || 1), sy = (H - 130) / (bounds.top - bounds.bottom || 1);
    const kx = Math.min(sx, sy * 1.6), ky = Math.min(sy, sx * 1.6); // nearly the same scale both ways, but fill the frame
    frame = { kx, ky, cx: (bounds.left + bounds.right) / 2, cy: (bounds.bottom + bounds.top) / 2 };
    const groups = looksOf().map(({ look }) => {
      const points = [];
      for (let i = 0; i < base.n; i++) if (base.look[i] === look && base.x[i] === base.x[i]) points.push(place(base.x[i], base.y[i]));
      return { look, points };
    });
    hulls = groups.filter((g) => g.points.length > 2).map((g) => ({ look: g.look, line: soften(hull(core(g.points)), 16) }));
    chipPlaces = placeLabels(hulls.map((g) => g.line), groups.flatMap((g) => g.points), ...CHIP, W, H);
  }
  const place = (x, y) => [((x - frame.cx) * frame.kx + W / 2) * zoom.k + zoom.x, (H / 2 - 10 - (y - frame.cy) * frame.ky) * zoom.k + zoom.y];

  function draw() {
    const started = performance.now();
    const ratio = devicePixelRatio || 1, ctx = canvas.getContext('2d');
    if (canvas.width !== Math.round(W * ratio) || canvas.height !== Math.round(H * ratio)) [canvas.width, canvas.height] = [Math.round(W * ratio), Math.round(H * ratio)];
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, W, H);
    const mapped = promptInfo()?.mapped;
    say(hint, state.info && !frame && state.head?.newest >= 0 ? (mapped === false ? 'This prompt is not on the map; its pictures are below.' : 'Laying out the map.') : '');
    if (frame) {
      drawBase(ctx);
      drawTrail(ctx);
      const ring = pinned || near;
      if (ring) {
        ctx.beginPath();
        ctx.arc(...place(ring.x, ring.y), 9.5, 0, 7);
        ctx.lineWidth = 1.75;
        ctx.strokeStyle = colour('--ink');
        ctx.stroke();
      }
    }
    drawChips();
    label();
    window.manymodes.mapDrawn = { at: performance.now(), took: performance.now() - started, dots: state.dots.trail(viewed()).reduce((n, [g]) => n + g.length, 0) + (state.base?.n ?? 0) };
  }

  function drawBase(ctx) {
    const line = colour('--base');
    ctx.strokeStyle = line;
    ctx.lineWidth = 1;
    for (const { line: outline } of hulls) {
      ctx.beginPath();
      outline.forEach((p, i) => (i ? ctx.lineTo(...p) : ctx.moveTo(...p)));
      ctx.closePath();
      ctx.fillStyle = colour('--base-fill');
      ctx.fill();
      ctx.setLineDash([3, 3.5]);
      ctx.globalAlpha = 0.8;
      ctx.stroke();
      ctx.setLineDash([]);
    }
    ctx.globalAlpha = 0.5;
    if (baseShown()) {
      const { base } = state;
      ctx.beginPath();
      for (let i = 0; i < base.n; i++) {
        if (base.x[i] !== base.x[i]) continue;
        const [x, y] = place(base.x[i], base.y[i]);
        ctx.moveTo(x + 2.6, y);
        ctx.arc(x, y, 2.6, 0, 6.2832);
      }
      ctx.stroke();
    }
    ctx.globalAlpha = 1;
  }

  /** Dots of the same colour and age go into one path: thousands of them take milliseconds. */
  function drawTrail(ctx) {
    const trail = state.dots.trail(viewed()), halo = colour('--halo'), by = paintBy.value, rewards = by === 'reward' ? spread(trail) : null;
    for (const [group, age] of trail) {
      const paths = new Map();
      for (const dot of group) {
        if (dot.x !== dot.x) continue;
        const key = by === 'reward' ? `r${Math.round(9 * clamp((dot.reward - rewards[0]) / (rewards[1] - rewards[0] || 1), 0, 1))}` : by === 'iteration' ? 'i' : String(dot.look);
        const [x, y] = place(dot.x, dot.y), mark = glyphPath(dot.look === NONE ? 0 : dot.look, x, y, age === 0 ? 5.2 : 4.2);
        paths.set(key, (paths.get(key) || '') + mark);
      }
      for (const [key, marks] of paths) {
        const path = new Path2D(marks), ink = key[0] === 'r' || key[0] === 'i';
        ctx.fillStyle = colour(ink ? '--ink' : Number(key) === NONE ? '--base' : lookColour(Number(key)));
        ctx.globalAlpha = key[0] === 'r' ? 0.12 + 0.88 * (Number(key.slice(1)) / 9) : age === 0 ? 1 : 0.66 - 0.05 * age;
        ctx.fill(path);
        if (age === 0) {
          ctx.globalAlpha = 1;
          ctx.lineWidth = 1.1;
          ctx.strokeStyle = halo;
          ctx.stroke(path);
        }
      }
    }
    ctx.globalAlpha = 1;
  }

  function drawChips() {
    const shares = sharesAt(viewed()), looks = new Map(looksOf().map((l) => [l.look, l]));
    const key = `${state.run}:${state.prompt}:${hulls.map((g) => g.look).join()}`;
    if (key !== chipKey) {
      chipKey = key;
      chips.replaceChildren(...hulls.map(({ look }) => h('div', { class: 'chip' }, h('img', { alt: '', src: thumb(looks.get(look).picture), width: 30, height: 30 }),
        h('div', {}, h('b', {}, glyph(look), h('span', {}, lookLetter(look)), h('span', { class: 'now' })), h('span', { class: 'then' }, `base ${percent(looks.get(look).share)}`)))));
    }
    hulls.forEach(({ look }, i) => {
      const chip = chips.children[i], spot = chipPlaces[i], moved = `translate(${Math.round(spot.left)}px, ${Math.round(spot.top)}px)`;
      if (chip.style.transform !== moved) chip.style.transform = moved;
      say($('.now', chip), shares ? percent(shares[look] ?? 0) : '');
    });
  }

  function label() {
    const shares = sharesAt(viewed()), name = promptInfo()?.text ?? '';
    const words = shares ? looksOf().map(({ look }) => `look ${lookLetter(look)} ${percent(shares[look] ?? 0)}`).join(', ') : 'no pictures yet';
    const text = `Map of the pictures for ${name} at iteration ${viewed()}: ${words}`;
    if (area.getAttribute('aria-label') !== text) area.setAttribute('aria-label', text);
  }

  // --- pointing ----------------------------------------------------------------------------------------------------
  function nearest(mx, my) {
    let best = null, reach = REACH * REACH;
    const consider = (x, y, make) => {
      if (x !== x) return;
      const [px, py] = place(x, y), d = (px - mx) ** 2 + (py - my) ** 2;
      if (d < reach) {
        reach = d;
        best = make;
      }
    };
    for (const [group] of state.dots.trail(viewed()).reverse()) for (const dot of group) consider(dot.x, dot.y, () => dot);
    if (baseShown()) for (let i = 0; i < state.base.n; i++) consider(state.base.x[i], state.base.y[i], () => ({ x: state.base.x[i], y: state.base.y[i], id: state.base.id[i], look: state.base.look[i], base: true, reward: state.base.reward[i] }));
    return best && best();
  }

  function point(dot) {
    if ((dot && dot.id) === (near && near.id)) return;
    near = dot;
    draw();
    clearTimeout(cardTimer);
    if (pinned) return;
    if (!dot) card.hidden = true;
    else cardTimer = setTimeout(() => showCard(dot), CARD_DELAY);
  }

  async function showCard(dot) {
    const more = await get(runPath(`pictures/${dot.id}`)).catch(() => null);
    if (!more || (dot !== near && dot !== pinned)) return;
    const row = (name, value) => h('div', {}, h('dt', {}, name), h('dd', {}, value));
    const scores = Object.entries(more.scores).slice(0, 3).map(([n, v]) => row(n.replaceAll('_', ' '), fixed(v, 3)));
    card.replaceChildren(h('img', { src: thumb(dot.id), alt: `${dot.base ? 'Base model' : 'Tuned'} picture, ${lookName(dot.look)}`, width: 128, height: 128 }),
      h('div', { class: 'lk' }, glyph(dot.look, 11), dot.base ? `Base model, ${lookName(dot.look).replace(/^./, (c) => c.toLowerCase())}` : lookName(dot.look)),
      h('dl', {}, row('Reward', fixed(more.reward)), dot.base ? [] : row('Rank', `${more.rank} of ${more.of}`), row('Seed', more.seed), dot.base ? [] : row('Iteration', String(more.iteration)), scores));
    card.hidden = false;
    const [x, y] = place(dot.x, dot.y), w = card.offsetWidth, t = card.offsetHeight;
    const dots = state.dots.trail(viewed()).flatMap(([g]) => g).filter((d) => d.x === d.x).map((d) => place(d.x, d.y));
    const spots = [[x - w / 2, y - t - 14], [x + 16, y - t / 2], [x - w - 16, y - t / 2], [x - w / 2, y + 14]].map(([a, b]) => [clamp(a, 6, W - w - 6), clamp(b, 6, H - t - 6)]);
    const cost = ([a, b]) => dots.reduce((n, p) => n + (p[0] > a - 8 && p[0] < a + w + 8 && p[1] > b - 8 && p[1] < b + t + 8), 0) + (x > a - 6 && x < a + w + 6 && y > b - 6 && y < b + t + 6 ? 999 : 0);
    const [left, top] = spots.sort((a, b) => cost(a) - cost(b))[0];
    card.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  function close() {
    pinned = near = null;
    card.hidden = true;
    draw();
  }

  let drag = null;
  const at = (e) => {
    const r = area.getBoundingClientRect();
    return [e.clientX - r.left, e.clientY - r.top];
  };
  area.addEventListener('pointermove', (e) => {
    if (!frame) return;
    const [x, y] = at(e);
    if (drag) {
      drag.far ||= Math.hypot(x - drag.x0, y - drag.y0) > 4;
      if (drag.far) {
        zoom = { ...zoom, x: drag.zx + x - drag.x0, y: drag.zy + y - drag.y0 };
        close();
        measure();
        draw();
      }
    } else point(nearest(x, y));
  });
  area.addEventListener('pointerdown', (e) => {
    const [x0, y0] = at(e);
    drag = { x0, y0, zx: zoom.x, zy: zoom.y, far: false };
    area.setPointerCapture(e.pointerId);
  });
  area.addEventListener('pointerup', () => {
    if (drag && !drag.far) {
      pinned = pinned && pinned === near ? null : near;
      if (pinned) showCard(pinned);
      else close();
    }
    drag = null;
  });
  area.addEventListener('pointerleave', () => drag || point(null));
  area.addEventListener('wheel', (e) => {
    e.preventDefault();
    const [x, y] = at(e), k = clamp(zoom.k * Math.exp(-e.deltaY * 0.0015), 1, 20), r = k / zoom.k;
    zoom = k === 1 ? { k: 1, x: 0, y: 0 } : { k, x: x - (x - zoom.x) * r, y: y - (y - zoom.y) * r };
    measure();
    draw();
  }, { passive: false });
  area.addEventListener('keydown', (e) => {
    if (e.key === 'Escape') return close();
    if (!e.key.startsWith('Arrow') || !frame) return undefined;
    e.preventDefault();
    e.stopPropagation();
    const all = state.dots.trail(viewed()).slice(-1).flatMap(([g]) => g).filter((d) => d.x === d.x).sort((a, b) => a.look - b.look || b.reward - a.reward);
    const i = all.findIndex((d) => d.id === near?.id), step = e.key === 'ArrowRight' || e.key === 'ArrowDown' ? 1 : -1;
    if (all.length) point(all[(i + step + all.length) % all.length]);
    return undefined;
  });

  // --- keeping up --------------------------------------------------------------------------------------------------
  function listPrompts() {
    const all = state.info ? state.info.prompts : [], key = `${state.run}:${all.length}:${all.filter((p) => p.mapped).length}`;
    if (prompts.dataset.key !== key) {
      prompts.dataset.key = key;
      const option = (p) => h('option', { value: p.prompt }, p.text.slice(0, 80));
      const off = all.filter((p) => !p.mapped).slice(0, 500), mapped = all.filter((p) => p.mapped);
      prompts.replaceChildren(...mapped.map(option), ...(off.length ? [h('optgroup', { label: 'Not on the map' }, off.map(option))] : []));
    }
    prompts.value = String(state.prompt);
  }
  const later = redraw(area, 'dots view theme rows head', () => {
    const [w, t] = [area.clientWidth, area.clientHeight];
    if (w !== W || t !== H) {
      [W, H] = [w, t];
      measure();
    }
    draw();
  });
  const fresh = () => {
    pinned = near = null;
    card.hidden = true;
    measure();
    listPrompts();
    say($('.much', root), state.base ? `base model, ${state.base.n} pictures, never moves` : 'base model, never moves');
    later();
  };
  on('base info run', fresh);
  on('view', listPrompts);
  on('fit', fit);
  fresh(); // this screen may be built long after the run was read
}

function spread(trail) {
  const all = trail.flatMap(([g]) => g.map((d) => d.reward)).filter((r) => r === r);
  return all.length ? [Math.min(...all), Math.max(...all)] : [0, 1];
}

function legend() {
  const dot = svg(12, 12, '<circle cx="6" cy="6" r="3.5" fill="none" stroke="var(--base)" stroke-width="1.2"/>', { 'aria-hidden': 'true' });
  const pair = svg(26, 12, `<path d="${glyphPath(0, 5, 6, 3.4)}" fill="var(--text-2)" opacity=".35"/><path d="${glyphPath(0, 18, 6, 4.6)}" fill="var(--text-2)"/>`, { 'aria-hidden': 'true' });
  const star = svg(12, 12, `<path d="${glyphPath(NEW, 6, 6, 4)}" fill="var(--ink)"/>`, { 'aria-hidden': 'true' });
  return h('div', { class: 'legend' }, h('span', {}, dot, h('span', { class: 'much' }, 'base model, never moves')), h('span', {}, pair, 'this run, last 8 iterations, newest strongest'), h('span', { class: 'wide' }, star, 'a new look'));
}
