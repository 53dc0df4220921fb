// The tiny picture on a preset card: prompt noise, leash, trained steps, where a late start is, and what is paid.

import { glyphPath, h, svg } from '../../lib/dom.js';
import { area, hatch, ink, path, rect, stroke, unique } from '../../lib/marks.js';

const W = 200;
export const MARKS = 42; // width of the marks at the right, which do not stretch with the card

/** plan: {steps, trained, leash, noise, start, chosen, bonus, past, pull}. */
export function scheduleGlyph(plan) {
  const c = W / plan.steps;
  const gap = plan.steps > 20 ? 0.5 : 1;
  const cell = (i, y, style) => rect(i * c + gap, y, c - 2 * gap, 9, { rx: 2, ...style });
  const soft = !plan.leash; // a pull on all trained steps is drawn paler than a leash
  const lines = unique('mm-mini');
  let s = hatch(lines, 4, soft ? 0.8 : 2) + noise(plan, c);
  for (let i = 0; i < plan.steps; i++) s += cell(i, 29, { fill: ink('--track'), opacity: 0.55 });
  for (const i of plan.trained) {
    // a start that is chosen while the run goes on: the later a step, the surer it is trained
    const sure = plan.chosen ? 0.4 + (0.6 * (i - plan.trained[0])) / Math.max(1, plan.trained.length - 1) : 1;
    s += cell(i, 29, { fill: ink('--ink'), 'fill-opacity': sure });
  }
  const held = plan.leash || (plan.pull ? plan.trained.length : 0);
  const style = { fill: `url(#${lines})`, stroke: ink('--ink'), 'stroke-opacity': soft ? 0.22 : 0.75 };
  for (let i = 0; i < held; i++) s += cell(i, 17, style);
  if (plan.start !== null) s += lateStart(plan, c);
  const stretched = svg('100%', 40, s, { viewBox: `0 0 ${W} 40`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  return h('div', { class: 'mini' }, stretched, svg(MARKS, 14, paid(plan), { 'aria-hidden': 'true' }));
}

function noise(plan, c) {
  if (!plan.noise.length) return stroke(`M0 14H${W}`, '--track', 1.2);
  const points = plan.noise.map((share, i) => `${(i + 0.5) * c} ${14 - 11 * share}`);
  const curve = `0 ${14 - 11 * plan.noise[0]}L${points.join('L')}L${W} 14`;
  return noisePath(curve, 14);
}

/** The curve of the prompt noise and the ground below it, down to `floor`. */
export const noisePath = (curve, floor) => area(`M0 ${floor}L${curve}Z`, '--ink', { 'fill-opacity': 0.12 }) + stroke(`M${curve}`, '--ink', 1.6);

function lateStart(plan, c) {
  // HRF moves the start on its own, so a start at 0 is drawn a little inside
  const x = Math.max(3, plan.start * c);
  return stroke(`M${x} 12V39`, '--ink', 1.6, plan.chosen ? { 'stroke-dasharray': '2.5 2' } : {});
}

/** Four different glyphs: pays for variety; four equal ones: does not; rising bars: against the prompt's own past. */
export function paid(plan) {
  if (plan.past)
    return [0.22, 0.38, 0.58, 1]
      .map((q, i) => rect(1 + i * 10.5, 9 - q * 5, 7, 3 + q * 5, { rx: 1.2, fill: ink('--ink'), 'fill-opacity': q }))
      .join('');
  return [4, 15, 26, 37].map((x, i) => path(glyphPath(plan.bonus ? i : 0, x, 7, 3.3), { fill: ink('--ink') })).join('');
}

/** The same in words, for those who cannot see it or do not know the marks. */
export function scheduleWords(plan) {
  const { steps, trained } = plan;
  const from = plan.chosen ? ', from a start that is found as it trains' : plan.start === null ? '' : `, from step ${plan.start} on`;
  const noisy = plan.noise.filter((share) => share > 0).length;
  const said = [
    `Each block is one of ${steps} steps from noise (left) to the clean picture (right).`,
    plan.chosen ? `Trained are the later steps${from}.` : `Trained are ${trained.length} of them${from}.`,
    plan.leash ? `The first ${plan.leash} are held near the base model.` : plan.pull ? 'All trained steps are pulled lightly to the base model.' : '',
    noisy ? `The prompt is shaken in the first ${noisy}.` : '',
    plan.past ? 'Pictures are judged against the past of their prompt.' : plan.bonus ? 'Pays for variety.' : 'Does not pay for variety.',
  ];
  return said.filter(Boolean).join(' ');
}
