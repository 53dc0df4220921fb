// Every prompt, the one that lost most variety first: where to look next.

import { $, h, say, svg, fixed } from '../../lib/dom.js';
import { dot, stroke } from '../../lib/marks.js';
import { on, looksOf, state, thumb, view } from '../../lib/store.js';
import { change, exact, fits, model, shortName } from './model.js';

const WIDE = 104,
  HIGH = 16;

export function every(root) {
  const sub = h('span', { class: 'sub' });
  const all = h('button', { class: 'btn sm', hidden: true, onclick: () => change({ every: true }) }, 'Measure all');
  const list = h('div', { class: 'plist' });
  root.append(
    h('div', { class: 'hd' }, h('h2', {}, 'Every prompt'), sub, h('div', { class: 'r' }, all)),
    h('div', { class: 'prh', 'aria-hidden': 'true' }, h('span', {}, 'variety'), h('span', {}, 'found'), h('span', {}, 'spread')),
    list,
  );
  const draw = () => {
    const rows = model.shown && fits() && exact() ? model.shown.prompts : kept(list);
    const measured = rows.filter((r) => r.left && r.right).length;
    say(sub, !rows.length ? '' : measured < rows.length ? `${measured} of ${rows.length} measured` : 'largest loss first');
    all.hidden = !(state.head?.alive && model.every === null && rows.some((r) => r.prompt !== state.prompt && !(r.left && r.right)) && model.shown && exact()); // the one shown is measured unasked
    const most = Math.max(2, ...rows.flatMap((r) => [r.left?.looks ?? 0, r.right?.looks ?? 0]));
    while (list.children.length < rows.length) list.append(entry());
    while (list.children.length > rows.length) list.lastChild.remove();
    rows.forEach((r, i) => paint(list.children[i], r, most));
  };
  on('compare info view', draw);
  draw();
}

/** Prompts without measures, so that the list is there before its numbers. */
const kept = () => (state.info?.prompts ?? []).filter((p) => p.mapped).map((p) => ({ prompt: p.prompt, left: null, right: null, loss: null }));

function entry() {
  return h(
    'button',
    { class: 'prw', onclick: (e) => (view({ prompt: Number(e.currentTarget.dataset.prompt) }), change({ seed: null })) },
    h('img', { alt: '', width: 24, height: 24 }),
    h('span', { class: 'name', dir: 'auto' }),
    h('span', { class: 'bell' }),
    h('span', { class: 'found' }, h('span', {}), h('b', {})),
    h('span', { class: 'by' }),
  );
}

function paint(node, { prompt, left, right }, most) {
  const text = state.info?.prompts[prompt]?.text ?? '',
    look = looksOf(prompt)[0],
    image = $('img', node);
  node.dataset.prompt = prompt;
  node.setAttribute('aria-current', String(prompt === state.prompt));
  image.style.visibility = look ? '' : 'hidden';
  if (look && image.getAttribute('src') !== thumb(look.picture)) image.src = thumb(look.picture);
  say($('.name', node), text.slice(0, 80));
  node.title = text;
  const key = `${left?.looks}:${right?.looks}:${most}`;
  if (node.dataset.key !== key) {
    node.dataset.key = key;
    $('.bell', node).replaceChildren(dumbbell(left?.looks, right?.looks, most));
  }
  say($('.found span', node), left?.found == null ? '' : `${left.found} → `);
  say($('.found b', node), right?.found == null ? '' : String(right.found));
  const by = left && right && left.spread > 1e-9 ? Math.round(100 * (right.spread / left.spread - 1)) : null;
  say($('.by', node), by === null ? '' : `${by > 0 ? '+' : by < 0 ? '−' : ''}${Math.abs(by)} %`);
  node.setAttribute(
    'aria-label',
    left && right ? `${text.slice(0, 80)}: variety ${fixed(left.looks, 1)} ${shortName('left')}, ${fixed(right.looks, 1)} ${shortName('right')}, spread ${by} percent` : `${text.slice(0, 80)}, not measured yet`,
  );
}

function dumbbell(before, after, most) {
  const at = (v) => 6 + ((v - 1) / (most - 1)) * (WIDE - 12);
  let marks = stroke(`M0 ${HIGH / 2}H${WIDE}`, '--line');
  if (before != null && after != null) marks += stroke(`M${at(before)} ${HIGH / 2}H${at(after)}`, '--text-2', 1.5);
  if (before != null) marks += dot(at(before), HIGH / 2, 3.8, { fill: 'var(--panel)', stroke: 'var(--base)', 'stroke-width': 1.4, 'stroke-dasharray': '2 1.2' });
  if (after != null) marks += dot(at(after), HIGH / 2, 4, { fill: 'var(--ink)' });
  return svg('100%', HIGH, marks, { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: 'xMidYMid meet', 'aria-hidden': 'true' });
}
