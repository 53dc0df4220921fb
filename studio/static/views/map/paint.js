// What a dot's colour and glyph say on the map, and the legend that tells it.

import { clamp, glyphPath, h, lookColour, NEW, NONE, say, svg } from '../../lib/dom.js';
import { state, viewed } from '../../lib/store.js';

export const INKS = ['look', 'reward', 'iteration', 'prompt'];
const SHADES = 11;
const HUE = 255; // degrees in OKLCH
const LIGHT = { from: [0.9, 0.045], to: [0.34, 0.15] }; // lightness and chroma of the lowest and the highest reward
const DARK = { from: [0.36, 0.09], to: [0.93, 0.06] };
const LETTERS = 6; // glyphs and colours that can be told apart

/** One hue from pale to deep, or from deep to pale on a dark ground. share in [0, 1]. */
function shade(share) {
  const { from, to } = document.documentElement.dataset.theme === 'dark' ? DARK : LIGHT;
  const [l, c] = from.map((a, i) => a + (to[i] - a) * share);
  return `oklch(${l.toFixed(3)} ${c.toFixed(3)} ${HUE})`;
}

/** Place of a prompt among those on the map: the first six have a glyph and a colour of their own. */
export const mappedPrompts = () => (state.info?.prompts ?? []).filter((p) => p.mapped).map((p) => p.prompt);

/** How to draw a dot: {shape(dot), ink(dot), outline, alpha(age)}; see drawDots. */
export function paint(by) {
  const places = state.all ? new Map(mappedPrompts().map((prompt, i) => [prompt, i])) : null;
  const place = (dot) => places.get(dot.prompt) ?? LETTERS;
  const shape = places ? place : (dot) => (dot.look === NONE ? 0 : dot.look);
  const older = (age) => (age ? 0.66 - 0.05 * age : 1);
  if (by === 'reward') {
    const [low, high] = state.dots.rewards;
    const shades = Array.from({ length: SHADES }, (_, k) => shade(k / (SHADES - 1)));
    const step = (dot) => Math.round((SHADES - 1) * clamp((dot.reward - low) / (high - low || 1), 0, 1));
    return { shape, ink: (dot) => shades[step(dot)] ?? '--base', outline: shade(0.55), alpha: () => 1 };
  }
  if (by === 'iteration') return { shape, ink: () => '--ink', alpha: (age) => 1 - 0.11 * age };
  if (by === 'prompt') return { shape, ink: (dot) => (places ? lookColour(place(dot)) : '--ink'), alpha: older };
  return { shape, ink: (dot) => (dot.look === NONE ? '--base' : lookColour(dot.look)), alpha: older };
}

/** The line below the map. `tell(by)` after each drawing. */
export class Legend {
  constructor() {
    const mark = (width, marks) => svg(width, 12, marks, { 'aria-hidden': 'true' });
    const hollow = mark(12, '<circle cx="6" cy="6" r="3.5" fill="none" stroke="var(--base)" stroke-width="1.2"/>');
    const old = `<path d="${glyphPath(0, 5, 6, 3.4)}" fill="var(--text-2)" opacity=".35"/>`;
    const pair = mark(26, `${old}<path d="${glyphPath(0, 18, 6, 4.6)}" fill="var(--text-2)"/>`);
    const star = mark(12, `<path d="${glyphPath(NEW, 6, 6, 4)}" fill="var(--ink)"/>`);
    this.much = h('span', { class: 'much' }, 'base model, never moves');
    this.low = h('span', {});
    this.high = h('span', {});
    this.bar = h('i', { class: 'ramp' });
    this.plain = h('span', {}, pair, 'this run, last 8 iterations, newest strongest');
    this.ramp = h('span', { hidden: true }, this.low, this.bar, this.high);
    this.star = h('span', { class: 'wide' }, star, 'a new look');
    this.node = h('div', { class: 'legend' }, h('span', {}, hollow, this.much), this.plain, this.ramp, this.star);
  }

  tell(by, trail) {
    const ends = {
      reward: () => {
        const [low, high] = state.dots.rewards;
        return low <= high ? [`reward ${low}`.replace('-', '−'), String(high).replace('-', '−'), [0, 0.25, 0.5, 0.75, 1].map(shade)] : null;
      },
      iteration: () => (trail.length ? [`iteration ${trail[0][0][0].iteration}`, String(viewed()), ['var(--line-2)', 'var(--ink)']] : null),
    }[by]?.();
    this.ramp.hidden = !ends;
    this.plain.hidden = Boolean(ends);
    this.star.hidden = state.all || by !== 'look';
    if (!ends) return;
    say(this.low, ends[0]);
    say(this.high, ends[1]);
    const ground = `linear-gradient(90deg, ${ends[2].join(', ')})`;
    if (this.bar.dataset.ground !== ground) this.bar.style.background = this.bar.dataset.ground = ground;
  }
}
