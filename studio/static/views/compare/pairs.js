// The pictures: seed by seed in pairs, or two grids in the same order.

import { $, h, say, glyph, fixed, lookLetter, lookName, NEW } from '../../lib/dom.js';
import { on } from '../../lib/store.js';
import { SEEDS, change, exactOn, fits, leftIsBase, model, more, picture, shortName, sideName } from './model.js';
import { zoom } from './zoom.js';

const REST = 180; // milliseconds on a pair before its seed is shown through training
let resting = null;

export function pairs(root) {
  const inPairs = h('div', { class: 'pairs', role: 'list', 'aria-label': 'Pairs' }, Array.from({ length: SEEDS }, (_, i) => pair(i)));
  const grids = h('div', { class: 'grids', hidden: true }, grid('left'), grid('right'));
  root.append(inPairs, grids);
  const draw = () => {
    inPairs.hidden = model.layout !== 'pairs';
    grids.hidden = model.layout === 'pairs';
    const cells = model.layout === 'pairs' ? inPairs.children : null;
    for (let i = 0; i < SEEDS; i++) {
      if (cells) paintPair(cells[i], i);
      else for (const side of ['left', 'right']) paintTile($(`[data-side=${side}] .g`, grids).children[i], i, side);
    }
    for (const side of ['left', 'right']) {
      const head = $(`[data-side=${side}] h3`, grids);
      say(head, side === 'left' && leftIsBase() ? 'Base model' : `${model.other ? '' : 'Weights after '}${sideName(side)}`);
      say(head.nextSibling, side === 'left' && leftIsBase() ? 'dashed frame' : `solid frame${side === 'right' && model.right[1] !== 100 ? `, strength ${(model.right[1] / 100).toFixed(2)}` : ''}`);
    }
    root.classList.toggle('bare', !leftIsBase());
  };
  on('compare', draw);
  draw();
}

const seedAt = (i) => model.first + i;
const tileOf = (i, side) => (fits() ? model.shown.tiles[side][i] : null);
const look = (t) => (t.look == null ? null : t.look < 0 ? NEW : t.look);

/** The seed under the pointer, once it rests there. */
function hover(i) {
  clearTimeout(resting);
  resting = setTimeout(() => model.seed !== seedAt(i) && change({ seed: seedAt(i) }), REST);
}
const leave = () => clearTimeout(resting);

function pair(i) {
  const frame = (side) => h('span', { class: `tl ${side}` }, h('img', { alt: '', draggable: 'false' }));
  const cap = (side) => h('span', { class: `cap ${side}` }, h('span', { class: 'gl' }), h('b', {}), h('em', {}), h('span', { class: 'rw' }));
  return h(
    'div',
    { role: 'listitem' },
    h(
      'button',
      { class: 'pair', onclick: () => zoom(i), onpointerenter: () => hover(i), onpointerleave: leave, onfocus: () => hover(i), onblur: leave },
      h('span', { class: 'h' }, h('span', {}), h('b', {})),
      h('span', { class: 'duo' }, frame('left'), frame('right')),
      h('span', { class: 'duo' }, cap('left'), cap('right')),
    ),
  );
}

function grid(side) {
  const one = (i) =>
    h(
      'button',
      { class: `tl ${side}`, onclick: () => zoom(i), onpointerenter: () => (ring(i), hover(i)), onpointerleave: () => (ring(-1), leave()), onfocus: () => (ring(i), hover(i)), onblur: () => (ring(-1), leave()) },
      h('img', { alt: '', draggable: 'false' }),
    );
  return h('div', { class: 'gr', 'data-side': side }, h('div', { class: 'gh' }, h('h3', {}), h('span', { class: 'sub' })), h('div', { class: 'g' }, Array.from({ length: SEEDS }, (_, i) => one(i))));
}

/** Hovering a picture rings its twin. */
function ring(i) {
  for (const block of document.querySelectorAll('.mm-compare .grids .g')) [...block.children].forEach((tile, n) => tile.classList.toggle('ring', n === i));
}

function paintPair(item, i) {
  const node = item.firstChild;
  const [a, b] = [paintTile($('.tl.left', node), i, 'left'), paintTile($('.tl.right', node), i, 'right')];
  say($('.h span', node), `seed ${seedAt(i)}`);
  const change_ = a?.reward != null && b?.reward != null ? more(a.reward, b.reward) : null;
  say($('.h b', node), change_ === null ? '' : signed(change_));
  caption($('.cap.left', node), a, 'left');
  caption($('.cap.right', node), b, 'right');
  node.setAttribute('aria-current', String((model.seed ?? model.first) === seedAt(i)));
  node.setAttribute('aria-label', described(i, a, b, change_));
}

const signed = (x) => (x >= 0 ? '+' : '') + fixed(x);

function described(i, a, b, by) {
  if (!a || !b) return `Seed ${seedAt(i)}, being made`;
  const reward = by === null ? '' : `, reward ${by >= 0 ? 'up' : 'down'} ${fixed(Math.abs(by))}`;
  return `Seed ${seedAt(i)}: ${shortName('left')} ${lookName(look(a))}, ${shortName('right')} ${lookName(look(b))}${reward}`;
}

/** Shows the picture of one side, or keeps the former one of the same seed, outlined, until it is there. Returns what it tells of. */
function paintTile(node, i, side) {
  const tile = tileOf(i, side),
    image = $('img', node),
    key = `${model.of?.run}:${model.of?.prompt}:${seedAt(i)}`;
  const fresh = tile && exactOn(side);
  if (tile) {
    const source = picture(tile.id, side);
    if (image.getAttribute('src') !== source) image.src = source;
    node.dataset.of = key;
  } else if (node.dataset.of !== key || !fits()) {
    image.removeAttribute('src');
    delete node.dataset.of;
  }
  node.classList.toggle('old', !fresh && image.hasAttribute('src'));
  if (node.tagName === 'BUTTON') node.setAttribute('aria-label', `Seed ${seedAt(i)}, ${shortName(side)}${tile ? `, ${lookName(look(tile))}` : ', being made'}`);
  return fresh ? tile : null;
}

function caption(node, tile, side) {
  const which = tile ? String(look(tile)) : '';
  if (node.dataset.look !== which) {
    node.dataset.look = which;
    $('.gl', node).replaceChildren(...(tile ? [glyph(look(tile), 10)] : []));
    say($('b', node), tile && tile.look != null ? lookLetter(look(tile)) : '');
  }
  say($('em', node), shortName(side));
  say($('.rw', node), tile?.reward == null ? '' : fixed(tile.reward));
}
