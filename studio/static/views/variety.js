// Is it collapsing: variety, which is the effective number of different pictures, the base level, the verdict and one sentence with its cause.

import { $, clamp, h, icon, say, svg, fixed, together } from '../lib/dom.js';
import { clip, stroke, text, unique } from '../lib/marks.js';
import { state, rowAt, viewed } from '../lib/store.js';
import { VARIETY } from '../lib/words.js';
import { redraw } from './live.js';
import { remedies } from './remedies.js';

const TONE = {
  Healthy: ['ok', 'check'],
  Recovering: ['ok', 'up'],
  Narrowing: ['warn', 'down'],
  Collapsing: ['bad', 'warn'],
  'Too early to say': ['', 'clock'],
};

export function variety(root) {
  root.append(
    h('div', { class: 'hd' }, h('h2', {}, 'Variety'), h('span', { class: 'sub', title: VARIETY }, h('span', {}), h('span', { class: 'mean' }, ', mean over prompts'))),
    h(
      'div',
      { class: 'meter' },
      h(
        'div',
        { class: 'row' },
        h('span', { class: 'big' }),
        h('span', { class: 'sub of' }, h('span', {}), h('span', { class: 'model' }, ' model')),
        h('span', { class: 'verdict', 'aria-live': 'polite' }, h('span', { class: 'ic' }), h('span', { class: 'word' })),
      ),
      h('div', { class: 'gauge' }),
      h('p', { class: 'say' }),
      h('div', { class: 'acts' }),
    ),
  );
  remedies($('.acts', root));
  redraw(root, 'rows view theme run info', () => draw(root));
}

function draw(root) {
  const row = state.run ? rowAt(viewed()) : null,
    chip = $('.verdict', root);
  say($('.big', root), row ? fixed(row.variety, 1) : '');
  say($('.of span', root), row ? `of ${fixed(row.base, 1)} in the base` : '');
  $('.model', root).hidden = !row;
  const { prompts, config } = state.info ?? {};
  say($('.hd .sub span', root), config ? `different pictures among ${config.group_size}` : '');
  $('.hd .mean', root).hidden = !(prompts?.length > 1);
  $('.big', root).title = row ? reading(row) : '';
  const word = row && row.iteration ? row.verdict : '',
    [tone, picture] = TONE[word] || ['', 'clock'];
  chip.style.visibility = word ? '' : 'hidden';
  say($('.word', chip), word);
  if (chip.dataset.word !== word) {
    chip.dataset.word = word;
    chip.className = `verdict ${tone}`;
    $('.ic', chip).replaceChildren(icon(picture));
  }
  const text = $('.say', root),
    parts = (row ? (row.iteration ? row.say : ['Base model, before the first update.']) : ['']).map(together);
  if (text.textContent !== parts.join('')) text.replaceChildren(...parts.map((p, i) => (i % 2 ? h('b', {}, p) : p)));
  gauge($('.gauge', root), row);
}

/** What the number was read from. */
function reading({ clusters, yardstick }) {
  const found = clusters == null ? '' : ` In the newest, training found ${fixed(clusters, 1)} groups a prompt.`;
  const over = state.window > 1 ? `Mean of ${state.window} iterations, which together hold at least 96 pictures.` : 'Of the newest iteration.';
  const mean = state.info?.prompts.length > 1 ? ' Mean over prompts.' : ''; // a narrow panel has no room to say so in its head
  const apart = Math.round(Math.abs(yardstick - 1) * 100);
  const turned = apart ? ` Since window or noise were turned, pictures of the base model too differ ${apart} % ${yardstick > 1 ? 'more' : 'less'}, which is taken into account.` : '';
  return `${over}${mean}${found}${turned}`;
}

function gauge(place, row) {
  const W = place.clientWidth;
  const base = row?.base || 0;
  if (!base) return place.replaceChildren(svg(W, 38, stroke(`M1 10H${W - 1}`, '--track', 7), { 'aria-hidden': 'true' }));
  const high = Math.max(base * 1.12, row.variety * 1.02);
  const X = (v) => clamp((v - 1) / (high - 1), 0, 1) * W;
  const a = Math.max(X(base * state.head.alarm), 4);
  const b = X(base * state.head.healthy);
  const v = X(row.variety);
  const done = unique('mm-gauge');
  const rail = `M1 10H${a - 2}M${a + 2} 10H${b - 2}M${b + 2} 10H${W - 1}`;
  let s = stroke(rail, '--track', 7) + clip(done, v, 20) + stroke(rail, '--ink', 7, { 'clip-path': `url(#${done})` });
  s += stroke(`M${v} 3.5V16.5`, '--panel', 6) + stroke(`M${v} 2.5V17.5`, '--ink', 2.5, { 'stroke-linecap': 'round' });
  s += stroke(`M${X(base)} 1V19`, '--base', 1.5, { 'stroke-dasharray': '2.5 2' }) + text(W - 1, 33, `base ${base.toFixed(1)}`, 'end', 'm');
  // a word stands under its stretch only if it fits there
  for (const [from, to, word] of [
    [1, a, 'collapsing'],
    [a + 3, b, 'narrowing'],
    [b + 3, W - 60, 'healthy'],
  ]) {
    if (to - from > word.length * 6.2) s += text(from, 33, word);
  }
  const label = `Variety ${row.variety.toFixed(1)}, the base model ${base.toFixed(1)}`;
  return place.replaceChildren(svg(W, 38, s, { role: 'img', 'aria-label': label }));
}
