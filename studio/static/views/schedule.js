// Where the dials act: denoising steps from noise (left) to clean (right), the leash over the trained steps.

import { glyphPath, h, svg } from '../lib/dom.js';

const hatch = (id, width, opacity) =>
  `<pattern id="${id}" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0V5" stroke="var(--hatch)" stroke-width="${width}" opacity="${opacity}"/></pattern>`;
const runs = (steps) => (steps.length > 1 ? `${steps[0]} to ${steps[steps.length - 1]}` : String(steps[0]));

/** The full map: {steps, trained, leash}. */
export function scheduleMap(plan, W) {
  const n = plan.steps,
    c = W / n,
    every = n > 20 ? 5 : 1,
    gap = n > 30 ? 0.5 : 1;
  let s = `<defs>${hatch('mm-held', 2, 1)}${hatch('mm-idle', 1, 0.55)}</defs>`;
  if (plan.trained.length)
    s += `<rect x="${plan.trained[0] * c}" y="16" width="${plan.trained.length * c}" height="60" rx="4" fill="var(--ink)" fill-opacity=".05"/>`;
  for (let i = 0; i <= n; i += every) s += `<path d="M${i * c} 18V76" stroke="var(--line)"/>`;
  for (let i = 0; i < n; i += every) s += `<text x="${(i + 0.5) * c}" y="11" text-anchor="middle">${i}</text>`;
  for (let i = 0; i < plan.leash; i++) {
    const held = plan.trained.includes(i);
    s += `<rect x="${i * c + gap}" y="22" width="${c - 2 * gap}" height="22" rx="3" fill="url(#${held ? 'mm-held' : 'mm-idle'})" stroke="var(--ink)" stroke-opacity="${held ? 0.9 : 0.3}"/>`;
  }
  const room = W - plan.leash * c;
  if (room > 70)
    s += `<text x="${plan.leash * c + 8}" y="37" class="m">${plan.leash ? (room > 190 ? 'leash, held near the base model' : 'leash') : 'no leash'}</text>`;
  for (const i of plan.trained) s += `<rect x="${i * c + gap}" y="50" width="${c - 2 * gap}" height="22" rx="3" fill="var(--ink)"/>`;
  return svg('100%', 80, s, { viewBox: `0 0 ${W} 80`, preserveAspectRatio: 'none', role: 'img', 'aria-label': inWords(plan) });
}

export function inWords({ trained, leash }) {
  const held = trained.filter((i) => i < leash);
  return `Left is noisy, right is clean. Training steps ${runs(trained)}; the leash holds ${held.length ? `step${held.length > 1 ? 's' : ''} ${runs(held)} of them` : 'none of them'}.`;
}

/** The tiny picture on a preset card: {steps, trained, leash, bonus, pull}. */
export function scheduleGlyph(plan) {
  const W = 200,
    n = plan.steps,
    c = W / n,
    gap = n > 20 ? 0.5 : 1;
  let s = `<defs><pattern id="mm-mini" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0V4" stroke="var(--hatch)" stroke-width="2"/></pattern>
    <pattern id="mm-soft" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0V4" stroke="var(--hatch)" stroke-width=".8"/></pattern></defs><path d="M0 14H${W}" stroke="var(--track)" stroke-width="1.2"/>`;
  for (let i = 0; i < n; i++)
    s += `<rect x="${i * c + gap}" y="29" width="${c - 2 * gap}" height="9" rx="2" fill="var(--track)" opacity=".55"/>`;
  for (const i of plan.trained) s += `<rect x="${i * c + gap}" y="29" width="${c - 2 * gap}" height="9" rx="2" fill="var(--ink)"/>`;
  const cells = plan.leash || (plan.pull ? plan.trained.length : 0),
    soft = !plan.leash;
  for (let i = 0; i < cells; i++)
    s += `<rect x="${i * c + gap}" y="17" width="${c - 2 * gap}" height="9" rx="2" fill="url(#${soft ? 'mm-soft' : 'mm-mini'})" stroke="var(--ink)" stroke-opacity="${soft ? 0.22 : 0.75}"/>`;
  const looks = [4, 15, 26, 37].map((x, i) => `<path d="${glyphPath(plan.bonus ? i : 0, x, 7, 3.3)}" fill="var(--ink)"/>`).join('');
  // the cells stretch with the card, the glyphs do not
  return h(
    'div',
    { class: 'mini' },
    svg('100%', 40, s, { viewBox: `0 0 ${W} 40`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }),
    svg(42, 14, looks, { 'aria-hidden': 'true' }),
  );
}
