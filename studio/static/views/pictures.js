// What does it make now: the pictures of the viewed iteration, ordered so that one look taking over is seen at once.

import { $, h, say, glyph, fixed, lookColour, lookName, NEW } from '../lib/dom.js';
import { state, on, get, runPath, thumb, viewed, following, promptInfo } from '../lib/store.js';

const MOST = 64;
const rank = (look) => (look == null ? 98 : look < 0 ? 97 : look);
const ORDERS = {
  look: (a, b) => rank(a.look) - rank(b.look) || b.reward - a.reward,
  reward: (a, b) => b.reward - a.reward,
  seed: (a, b) => a.seed.length - b.seed.length || (a.seed < b.seed ? -1 : 1),
};

export function pictures(root) {
  const title = h('h2', {}, 'Newest pictures'),
    sub = h('span', { class: 'sub', dir: 'auto' });
  const buttons = Object.keys(ORDERS).map((o) =>
    h('button', { 'aria-pressed': String(state.order === o), onclick: () => order(o) }, o[0].toUpperCase() + o.slice(1)),
  );
  const tiles = h('div', { class: 'tiles' });
  root.append(
    h(
      'div',
      { class: 'hd' },
      title,
      sub,
      h(
        'div',
        { class: 'r' },
        h('span', { class: 'sub wide' }, 'Order'),
        h('span', { class: 'seg', role: 'group', 'aria-label': 'Order' }, buttons),
      ),
    ),
    tiles,
  );
  let shown = null,
    key = '',
    wanted = null;

  function order(o) {
    state.order = o;
    buttons.forEach((b, i) => b.setAttribute('aria-pressed', String(Object.keys(ORDERS)[i] === o)));
    draw();
  }

  async function load() {
    if (!state.run || !state.info || !root.clientWidth) return;
    const now = `${state.run}:${state.head.epoch}:${state.prompt}:${viewed()}:${state.head.maps}`;
    if (now === key || now === wanted) return;
    wanted = now;
    const answer = await get(runPath(`pictures?iteration=${viewed()}&prompt=${state.prompt}`)).catch(() => null);
    if (wanted !== now) return;
    wanted = null;
    if (!answer) return;
    [shown, key] = [answer, now];
    draw();
  }

  function draw() {
    const list = shown && state.run ? shown.pictures.slice().sort(ORDERS[state.order]).slice(0, MOST) : [];
    say(title, following() ? 'Newest pictures' : 'Pictures');
    const name = promptInfo()?.text ?? '';
    say(
      sub,
      list.length
        ? `${shown.iteration ? `iteration ${shown.iteration}` : 'base model'}, ${shown.pictures.length} for “${name.slice(0, 60)}”`
        : '',
    );
    sub.title = name;
    while (tiles.children.length < list.length) tiles.append(tile());
    while (tiles.children.length > list.length) tiles.lastChild.remove();
    list.forEach((p, i) => fill(tiles.children[i], p));
  }

  on('view head', load);
  on('run', () => {
    [shown, key, wanted] = [null, '', null];
    draw();
  });
  new ResizeObserver(load).observe(root);
}

function tile() {
  return h(
    'div',
    { class: 'tile', role: 'img' },
    h('img', { alt: '', width: 48, height: 48 }),
    h('u', {}, h('span', { class: 'gl' }), h('span', { class: 'rw' })),
  );
}

/** Tiles stay where they are; only what they show is exchanged. */
function fill(node, p) {
  const source = thumb(p.id),
    image = $('img', node),
    look = p.look == null ? null : p.look < 0 ? NEW : p.look;
  if (image.getAttribute('src') !== source) image.src = source;
  if (node.dataset.look !== String(look)) {
    node.dataset.look = String(look);
    node.style.setProperty('--c', look === null ? 'transparent' : `var(${lookColour(look)})`);
    $('.gl', node).replaceChildren(glyph(look, 9));
  }
  say($('.rw', node), fixed(p.reward));
  node.setAttribute('aria-label', `${lookName(look)}, reward ${fixed(p.reward)}, seed ${p.seed}`);
  node.title = `${lookName(look)}, seed ${p.seed}`;
}
