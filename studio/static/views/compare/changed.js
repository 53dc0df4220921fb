// What changed for the prompt, in numbers over the same seeds, and the share of each look.

import { $, apart, h, say, glyph, fixed, lookColour, lookLetter, NEW } from '../../lib/dom.js';
import { on, promptInfo, state } from '../../lib/store.js';
import { VARIETY } from '../../lib/words.js';
import { exact, leftIsBase, model, more, shortName } from './model.js';

const GOOD_BELOW = 0.005; // a change that rounds to nothing has no colour
const ROWS = [
  { name: 'Mean reward', key: 'reward', digits: 2, gain: true, title: 'On the scale of the base model: 0 is its mean, 1 one spread of it' },
  { name: 'Variety', key: 'looks', digits: 1, title: `${VARIETY} Here on the base model’s scale.` },
  { name: 'Looks found', key: 'found', digits: 0, title: 'Looks of the base model with at least one picture; new looks are not counted' },
  { name: 'Spread', key: 'spread', share: true, title: 'Mean distance of two pictures in the measure that training uses' },
  { name: 'Held-out spread', key: 'held_out', share: true, title: 'Root mean square difference of two pictures in 16 × 16 pixels, 0 to 1. Nothing in training is paid for it' },
];

export function changed(root) {
  const title = h('h2', { dir: 'auto' }),
    sub = h('span', { class: 'sub' });
  const head = ['left', 'right', 'change'].map(() => h('th', { scope: 'col' }));
  const rows = ROWS.map((r) => h('tr', {}, h('th', { scope: 'row', title: r.title }, r.name), h('td', {}), h('td', {}, h('b', {})), h('td', { class: 'by' })));
  const bars = h('div', { class: 'bars' });
  const note = h('span', { class: 'sub' });
  root.append(
    h('div', { class: 'hd' }, title, h('div', { class: 'r' }, sub)),
    h('table', {}, h('thead', {}, h('tr', {}, h('td', {}), head)), h('tbody', {}, rows)),
    h('div', { class: 'hd shares' }, h('h2', {}, 'Share of each look'), note),
    bars,
  );
  const draw = () => {
    const text = promptInfo()?.text ?? '';
    say(title, `What changed for “${apart(text.length > 24 ? `${text.slice(0, 22)}…` : text)}”`);
    title.title = text;
    const now = exact() && model.of.prompt === state.prompt ? model.shown : null;
    const { left, right, drawn } = now?.changed ?? {};
    const done = left && right;
    say(sub, !now ? '' : done ? `${now.n} seeds each` : `${Math.min(...drawn)} of ${now.n} seeds`);
    ['left', 'right'].forEach((side, i) => say(head[i], shortName(side)));
    say(head[2], 'change');
    ROWS.forEach((r, i) => paint(rows[i], r, left, right));
    say(note, leftIsBase() ? 'dashed is base' : 'dashed is left');
    shares(bars, left, right);
  };
  on('compare info view', draw);
  draw();
}

/** Two significant digits where no number of decimals is named; nothing while it is not measured, so that nothing moves later. */
const told = (v, digits) => (v == null ? '' : digits == null ? fixed(v, v < 0.0995 ? 3 : 2) : fixed(v, digits));

function paint(row, { key, digits, share, gain }, left, right) {
  const [a, b] = [left?.[key], right?.[key]];
  say(row.children[1], told(a, digits));
  say($('b', row), told(b, digits));
  const cell = row.children[3];
  if (a == null || b == null) {
    cell.className = 'by';
    return say(cell, '');
  }
  const by = share ? (a > 1e-9 ? b / a - 1 : 0) : more(a, b, digits);
  const words = share ? `${Math.round(100 * by)} %` : fixed(by, digits);
  say(cell, `${by > 0 && !/^0(\.0*)?( %)?$/.test(words) ? '+' : ''}${words.replace(/^-/, '−').replace(/^−0(\.0*)?( %)?$/, (m) => m.slice(1))}`);
  cell.className = `by ${Math.abs(by) < GOOD_BELOW ? '' : by < 0 ? 'loss' : gain ? 'win' : ''}`;
  return undefined;
}

/** Bars of base (dashed) and tuned (solid), one row a look; rows that a prompt does not have stay empty, so nothing moves. */
function shares(root, left, right) {
  const before = left?.shares,
    after = right?.shares;
  const count = (before ?? after)?.length ?? 0;
  const known = count ? [...Array(count - 1).keys(), NEW] : [];
  const rows = known.filter((_, i) => i < count - 1 || (before?.[i] ?? 0) + (after?.[i] ?? 0) > 0);
  const largest = Math.max(0.2, ...(before ?? []), ...(after ?? []));
  while (root.children.length < rows.length) root.append(bar());
  while (root.children.length > rows.length) root.lastChild.remove();
  rows.forEach((k, i) => {
    const node = root.children[i],
      at = k === NEW ? count - 1 : i;
    if (node.dataset.look !== String(k)) {
      node.dataset.look = k;
      $('.name', node).replaceChildren(glyph(k, 10), h('b', {}, lookLetter(k)));
      node.style.setProperty('--c', `var(${lookColour(k)})`);
    }
    const [a, b] = [before?.[at] ?? 0, after?.[at] ?? 0];
    $('.o', node).style.width = `${(100 * a) / largest}%`;
    $('.o', node).style.visibility = before ? '' : 'hidden';
    $('.s', node).style.width = `${(100 * b) / largest}%`;
    $('.s', node).style.visibility = after ? '' : 'hidden';
    say($('.was', node), before ? `${Math.round(100 * a)} → ` : '');
    say($('.is', node), after ? `${Math.round(100 * b)} %` : '');
    node.setAttribute('aria-label', `Look ${lookLetter(k)}: ${Math.round(100 * a)} to ${Math.round(100 * b)} percent`);
  });
}

const bar = () =>
  h('div', { class: 'br', role: 'img' }, h('span', { class: 'name' }), h('span', { class: 'w' }, h('i', { class: 'o' }), h('i', { class: 's' })), h('span', { class: 'v' }, h('span', { class: 'was' }), h('b', { class: 'is' })));
