// One seed at every checkpoint: the moment at which it changes its look.

import { $, h, say, glyph, lookLetter, lookName, NEW } from '../../lib/dom.js';
import { on } from '../../lib/store.js';
import { change, fits, model, picture } from './model.js';

const CELLS = 13;

export function through(root) {
  const title = h('h2', {}),
    sub = h('span', { class: 'sub' });
  const cells = h('div', { class: 'cells' }, Array.from({ length: CELLS }, cell));
  root.append(h('div', { class: 'hd' }, title, sub), cells);
  const draw = () => {
    const seed = model.seed ?? model.first;
    const list = fits() && model.of.seed === seed ? model.shown.through : [];
    say(title, `Seed ${seed} through training`);
    say(sub, told(list));
    [...cells.children].forEach((node, i) => paint(node, list[i], i && list[i - 1], i));
  };
  on('compare', draw);
  draw();
}

const look = (c) => (c?.look == null ? null : c.look < 0 ? NEW : c.look);

function told(list) {
  if (list.length < 2) return list.length ? 'nothing is saved yet' : 'same noise, every checkpoint';
  const made = list.filter((c) => c.id);
  if (made.length < list.length || made.some((c) => c.look == null)) return 'same noise, every checkpoint, as trained';
  const turn = list.findLast((c, i) => i && c.look !== list[i - 1].look);
  return turn ? `same noise, every checkpoint; from ${turn.checkpoint} on the look stays` : 'same noise, every checkpoint; the look stays';
}

function cell() {
  return h('button', { class: 'cell', onclick: (e) => pick(e.currentTarget) }, h('span', { class: 'fr' }, h('img', { alt: '', draggable: 'false' })), h('span', { class: 'cap' }, h('span', { class: 'gl' }), h('b', {})));
}

/** Its weights take the right side. */
function pick(node) {
  const checkpoint = Number(node.dataset.checkpoint);
  if (checkpoint && model.shown.checkpoints.includes(checkpoint)) change({ right: [checkpoint, model.right[1]], take: null });
}

function paint(node, c, before, i) {
  node.style.visibility = c ? '' : 'hidden';
  if (!c) return $('img', node).removeAttribute('src');
  node.dataset.checkpoint = c.checkpoint;
  node.classList.toggle('base', i === 0);
  node.classList.toggle('turn', Boolean(before) && look(before) !== null && look(c) !== null && look(before) !== look(c));
  node.setAttribute('aria-current', String(model.right[0] === c.checkpoint));
  const image = $('img', node);
  if (c.id && image.getAttribute('src') !== picture(c.id)) image.src = picture(c.id);
  if (!c.id) image.removeAttribute('src');
  const key = String(look(c));
  if (node.dataset.look !== key) {
    node.dataset.look = key;
    $('.gl', node).replaceChildren(...(look(c) === null ? [] : [glyph(look(c), 9)]));
  }
  say($('b', node), i ? String(c.checkpoint) : 'base');
  const name = i ? `Iteration ${c.checkpoint}` : 'Base model';
  node.setAttribute('aria-label', `${name}, ${c.id ? lookName(look(c)) : 'being made'}`);
  node.title = i ? `${name}${look(c) === null ? '' : `, look ${lookLetter(look(c))}`}. Click to put it on the right` : name;
  return undefined;
}
