// One seed, large: a line to drag between the two sides, and arrow keys to walk through the seeds.

import { $, h, icon, say, glyph, fixed, lookName, NEW } from '../../lib/dom.js';
import { on } from '../../lib/store.js';
import { SEEDS, change, exact, leftIsBase, model, more, picture, shortName, sideName } from './model.js';

let box = null,
  at = 0;

export function zoom(i) {
  at = i;
  box ??= build();
  draw();
  if (!box.open) box.showModal();
  $('.close', box).focus();
  change({ seed: model.first + i });
}

function build() {
  const image = (side) => h('div', { class: `big ${side}` }, h('img', { alt: '', draggable: 'false' }), h('span', { class: 'tag' }));
  const wipe = h('input', { type: 'range', min: 0, max: 100, value: 50, 'aria-label': 'How much of each side is seen' });
  const stage = h('div', { class: 'stage' }, image('left'), image('right'), h('i', { class: 'line' }));
  const set = (share) => {
    wipe.value = share;
    stage.style.setProperty('--w', share / 100);
    wipe.style.setProperty('--p', `calc(${share}% + ${(7 - 0.14 * share).toFixed(2)}px)`);
    wipe.setAttribute('aria-valuetext', `${share} % of the left side`);
  };
  wipe.addEventListener('input', () => set(Number(wipe.value)));
  const drag = (e) => {
    if (!e.buttons || stage.classList.contains('both')) return;
    const area = $('.big.right', stage).getBoundingClientRect();
    set(Math.round(Math.max(0, Math.min(1, (e.clientX - area.left) / area.width)) * 100));
  };
  stage.addEventListener('pointerdown', (e) => (stage.setPointerCapture(e.pointerId), drag(e)));
  stage.addEventListener('pointermove', drag);
  const mode = (both) => {
    stage.classList.toggle('both', both);
    wipe.disabled = both;
    for (const [n, b] of [...seg.children].entries()) b.setAttribute('aria-pressed', String((n === 1) === both));
  };
  const seg = h('span', { class: 'seg', role: 'group', 'aria-label': 'How the two are laid' }, h('button', { onclick: () => mode(false) }, 'Wipe'), h('button', { onclick: () => mode(true) }, 'Side by side'));
  const dialog = h(
    'dialog',
    { class: 'mm mm-zoom', 'aria-label': 'One seed, large' },
    h('div', { class: 'zh' }, h('h2', {}), h('span', { class: 'sub', dir: 'auto' }), seg),
    stage,
    wipe,
    h('div', { class: 'zc' }, h('span', { class: 'cap left' }), h('span', { class: 'cap right' })),
    h(
      'div',
      { class: 'zf' },
      h('button', { class: 'btn', onclick: () => walk(-1), title: 'Seed before  ←' }, '← Before'),
      h('button', { class: 'btn', onclick: () => walk(1), title: 'Seed after  →' }, 'Next →'),
      h('button', { class: 'btn close', onclick: () => dialog.close() }, 'Close'),
    ),
  );
  dialog.addEventListener('click', (e) => e.target === dialog && dialog.close());
  dialog.addEventListener('keydown', (e) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
    if (!step || e.target === wipe) return;
    e.preventDefault();
    walk(step);
  });
  document.body.append(dialog);
  set(50);
  mode(false);
  on('compare', () => dialog.open && draw());
  return dialog;
}

function walk(by) {
  at = (at + by + SEEDS) % SEEDS;
  draw();
  change({ seed: model.first + at });
}

function draw() {
  say($('h2', box), `Seed ${model.first + at}`);
  const both = ['left', 'right'].map((side) => (exact() ? model.shown.tiles[side][at] : null));
  const by = both.every((t) => t?.reward != null) ? more(both[0].reward, both[1].reward) : null;
  say($('.sub', box), by === null ? 'same noise on both sides' : `reward ${by >= 0 ? 'up' : 'down'} ${fixed(Math.abs(by))}, same noise on both sides`);
  ['left', 'right'].forEach((side, n) => {
    const tile = both[n],
      node = $(`.big.${side}`, box),
      image = $('img', node);
    const source = tile ? picture(tile.id, side, false) : null;
    if (source && image.getAttribute('src') !== source) image.src = source;
    if (!source) image.removeAttribute('src');
    say($('.tag', node), shortName(side));
    node.classList.toggle('base', side === 'left' && leftIsBase());
    const look = tile?.look == null ? null : tile.look < 0 ? NEW : tile.look;
    const words = sideName(side);
    const name = side === 'left' && leftIsBase() ? 'Base model' : model.other ? words : words[0].toUpperCase() + words.slice(1);
    const cap = $(`.cap.${side}`, box);
    cap.replaceChildren(
      h('b', {}, name),
      ...(tile ? [glyph(look, 11), h('span', {}, `${lookName(look)}${tile.reward == null ? '' : `, reward ${fixed(tile.reward)}`}`)] : [h('span', {}, 'being made')]),
    );
  });
}
