// Where the dials act: denoising steps from noise (left) to clean (right), the leash over the trained steps.

import { glyphPath, h, svg } from '../lib/dom.js';
import { area, hatch, ink, rect, stroke, text } from '../lib/marks.js';

const span = (steps) => (steps.length > 1 ? `${steps[0]} to ${steps[steps.length - 1]}` : String(steps[0]));

/** The full map: {steps, trained, leash}. */
export function scheduleMap(plan, W) {
  const n = plan.steps;
  const c = W / n;
  const every = n > 20 ? 5 : 1;
  const gap = n > 30 ? 0.5 : 1;
  const cell = (i, y, style) => rect(i * c + gap, y, c - 2 * gap, 22, { rx: 3, ...style });
  let s = hatch('mm-held', 5, 2) + hatch('mm-idle', 5, 1, 0.55);
  if (plan.trained.length)
    s += rect(plan.trained[0] * c, 16, plan.trained.length * c, 60, { rx: 4, fill: ink('--ink'), 'fill-opacity': 0.05 });
  for (let i = 0; i <= n; i += every) s += stroke(`M${i * c} 18V76`, '--line');
  for (let i = 0; i < n; i += every) s += text((i + 0.5) * c, 11, i, 'middle');
  for (let i = 0; i < plan.leash; i++) {
    const held = plan.trained.includes(i);
    s += cell(i, 22, { fill: `url(#${held ? 'mm-held' : 'mm-idle'})`, stroke: ink('--ink'), 'stroke-opacity': held ? 0.9 : 0.3 });
  }
  const room = W - plan.leash * c;
  const name = !plan.leash ? 'no leash' : room > 190 ? 'leash, held near the base model' : 'leash';
  if (room > 70) s += text(plan.leash * c + 8, 37, name, 'start', 'm');
  for (const i of plan.trained) s += cell(i, 50, { fill: ink('--ink') });
  return svg('100%', 80, s, { viewBox: `0 0 ${W} 80`, preserveAspectRatio: 'none', role: 'img', 'aria-label': inWords(plan) });
}

export function inWords({ trained, leash }) {
  const held = trained.filter((i) => i < leash);
  const holds = held.length ? `step${held.length > 1 ? 's' : ''} ${span(held)} of them` : 'none of them';
  return `Left is noisy, right is clean. Training steps ${span(trained)}; the leash holds ${holds}.`;
}

/** The tiny picture on a preset card: {steps, trained, leash, bonus, pull}. */
export function scheduleGlyph(plan) {
  const W = 200;
  const c = W / plan.steps;
  const gap = plan.steps > 20 ? 0.5 : 1;
  const cell = (i, y, style) => rect(i * c + gap, y, c - 2 * gap, 9, { rx: 2, ...style });
  let s = hatch('mm-mini', 4, 2) + hatch('mm-soft', 4, 0.8) + stroke(`M0 14H${W}`, '--track', 1.2);
  for (let i = 0; i < plan.steps; i++) s += cell(i, 29, { fill: ink('--track'), opacity: 0.55 });
  for (const i of plan.trained) s += cell(i, 29, { fill: ink('--ink') });
  const soft = !plan.leash; // a pull on all trained steps is drawn paler than a leash
  const held = plan.leash || (plan.pull ? plan.trained.length : 0);
  const style = { fill: `url(#${soft ? 'mm-soft' : 'mm-mini'})`, stroke: ink('--ink'), 'stroke-opacity': soft ? 0.22 : 0.75 };
  for (let i = 0; i < held; i++) s += cell(i, 17, style);
  const looks = [4, 15, 26, 37].map((x, i) => area(glyphPath(plan.bonus ? i : 0, x, 7, 3.3), '--ink')).join('');
  // the cells stretch with the card, the glyphs do not
  const cells = svg('100%', 40, s, { viewBox: `0 0 ${W} 40`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  return h('div', { class: 'mini' }, cells, svg(42, 14, looks, { 'aria-hidden': 'true' }));
}
