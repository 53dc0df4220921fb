// What does it make now: the pictures of the viewed iteration, ordered so that one look taking over is seen at once.

import { $, apart, h, say, glyph, fixed, lookColour, lookName, NEW } from '../lib/dom.js';
import { state, on, emit, get, runPath, thumbSheets, viewed, following, promptInfo, select } from '../lib/store.js';
import { keptGrids } from './map/kept.js';
import { sampler } from './map/sample.js';

const MOST = 128; // tiles
const SELECTED = 400; // pictures of a selection that are listed and kept
const PACE = 200; // milliseconds between two fillings while a replay runs: each asks for up to 64 pictures
const NOTED = 6000; // milliseconds that a notice stays in the heading
const rank = (look) => (look == null ? 98 : look < 0 ? 97 : look);
const ORDERS = {
  look: (a, b) => a.prompt - b.prompt || rank(a.look) - rank(b.look) || b.reward - a.reward,
  reward: (a, b) => b.reward - a.reward,
  seed: (a, b) => a.seed.length - b.seed.length || (a.seed < b.seed ? -1 : 1),
};

export function pictures(root) {
  const title = h('h2', {}, 'Newest pictures');
  const sub = h('span', { class: 'sub', dir: 'auto' });
  const told = h('p', { class: 'sr', 'aria-live': 'polite' });
  const inform = (words) => {
    say(told, words);
    notice(words);
    draw();
  };
  function notice(words) {
    clearTimeout(noted);
    note = words;
    noted = words && setTimeout(() => (notice(''), draw()), NOTED);
  }
  const buttons = Object.keys(ORDERS).map((o) =>
    h('button', { 'aria-pressed': String(state.order === o), onclick: () => order(o) }, o[0].toUpperCase() + o.slice(1)),
  );
  const orders = h('span', { class: 'seg', role: 'group', 'aria-label': 'Order' }, buttons);
  const sample = sampler(draw, inform);
  const grids = keptGrids(inform);
  const keep = h('button', { class: 'btn sm', id: 'mm-keep', onclick: () => grids.keep(listed().map((p) => p.id)) }, 'Keep as grid');
  const clear = h('button', { class: 'btn sm ghost', id: 'mm-clear', onclick: () => (state.sel ? select(null) : (notice(''), sample.clear())) }, 'Clear');
  const keepers = h('span', { class: 'keepers', hidden: true }, keep, clear);
  const tiles = h('div', { class: 'tiles', role: 'group', 'aria-label': 'Pictures' });
  const word = h('span', { class: 'sub wide' }, 'Order');
  root.append(h('div', { class: 'hd' }, title, sub, h('div', { class: 'r' }, grids.node, word, orders, sample.node), keepers), tiles, told);
  const sheets = thumbSheets();
  let shown = null; // of the viewed iteration
  let chosen = null; // of the selection
  let key = '';
  let asking = false;
  let note = '';
  let noted = 0;

  function order(o) {
    state.order = o;
    buttons.forEach((b, i) => b.setAttribute('aria-pressed', String(Object.keys(ORDERS)[i] === o)));
    draw();
  }

  /** What should be on show, as one word that changes when it does. */
  const wanted = () => (state.run && state.info ? `${state.run}:${state.head.epoch}:${state.all}:${state.prompt}:${viewed()}:${state.head.maps}` : '');

  /** One request at a time; meanwhile others only change what is wanted next, so a replay shows as many as the server can give. */
  async function load() {
    if (asking || !root.clientWidth) return;
    const now = wanted(),
      { run } = state;
    if (!now || now === key) return;
    asking = true;
    const pause = new Promise((done) => setTimeout(done, PACE));
    const answer = await get(runPath(`pictures?iteration=${viewed()}&prompt=${state.prompt}&all=${state.all}`)).catch(() => null);
    if (answer) await bring(answer.pictures);
    if (answer && run === state.run) {
      [shown, key] = [answer, now];
      draw();
    }
    await pause;
    asking = false;
    if (answer) load();
  }

  async function loadSelection() {
    const { run, sel } = state;
    chosen = null;
    notice('');
    if (sel && run) {
      const ids = sel.ids.slice(-SELECTED); // the newest of very many
      const answer = await get(runPath(`selected?ids=${ids.join(',')}`)).catch(() => null);
      if (answer) await bring(answer.pictures);
      if (sel !== state.sel) return;
      chosen = answer?.pictures ?? [];
    }
    draw();
  }

  const ordered = (found) => found.slice().sort(ORDERS[state.order]);
  const listed = () => ordered((state.sel ? chosen : (sample.shown() ?? shown)?.pictures) ?? []);
  /** The small pictures come first, so that a picture and what stands below it change together. */
  const bring = (found) => sheets.bring(ordered(found).slice(0, MOST).map((p) => p.id));

  function draw() {
    const all = state.run ? listed() : [];
    const list = all.slice(0, MOST);
    const mode = state.sel ? 'selection' : sample.shown() ? 'sample' : 'newest';
    root.dataset.mode = mode;
    say(title, { selection: 'Selection', sample: 'Sampled now', newest: following() ? 'Newest pictures' : 'Pictures' }[mode]);
    const name = mode === 'sample' ? state.info.prompts[sample.shown().prompt].text : (promptInfo()?.text ?? '');
    const words = {
      selection: () => `${state.sel.ids.length} / ${state.sel.of} pictures${list.length < all.length ? `, ${list.length} shown` : ''}`,
      sample: () => `Pictures with the weights after iteration ${sample.shown().iteration}, ${list.length} for “${apart(name.slice(0, 60))}”`,
      newest: () =>
        list.length
          ? `${shown.iteration ? `iteration ${shown.iteration}` : 'base model'}, ${all.length} for ${state.all ? 'all prompts' : `“${apart(name.slice(0, 60))}”`}`
          : '',
    }[mode]();
    say(sub, note || words);
    sub.title = note || `${words}\n${name}`;
    keepers.hidden = mode === 'newest'; // over the order and Sample now, which keep their place
    keep.disabled = !all.length;
    tiles.tabIndex = list.length ? 0 : -1; // many of them scroll
    while (tiles.children.length < list.length) tiles.append(tile());
    while (tiles.children.length > list.length) tiles.lastChild.remove();
    list.forEach((p, i) => fill(tiles.children[i], p));
    const later = mode === 'newest' ? [] : ordered(shown?.pictures ?? []).slice(0, MOST); // once the others are cleared
    sheets.show(list.map((p, i) => [$('img', tiles.children[i]), p.id]), later.map((p) => p.id));
  }

  tiles.addEventListener('pointerover', (event) => point(event.target.closest('.tile')));
  tiles.addEventListener('pointerleave', () => point(null));
  function point(node) {
    const id = node ? Number(node.dataset.id) : null;
    if (id === (state.pointed ?? null)) return;
    state.pointed = id;
    emit('point');
  }

  on('view newest head', load);
  on('head', sheets.again);
  on('sel', loadSelection);
  on('run', () => {
    [shown, chosen, key] = [null, null, ''];
    notice('');
    draw();
  });
  new ResizeObserver(load).observe(root);
  if (state.sel) loadSelection();
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
  node.dataset.id = p.id;
  const look = p.look == null ? null : p.look < 0 ? NEW : p.look;
  if (node.dataset.look !== String(look)) {
    node.dataset.look = String(look);
    node.style.setProperty('--c', look === null ? 'transparent' : `var(${lookColour(look)})`);
    $('.gl', node).replaceChildren(glyph(look, 9));
  }
  say($('.rw', node), fixed(p.reward));
  node.setAttribute('aria-label', `${lookName(look)}, reward ${fixed(p.reward)}, seed ${p.seed}`);
  node.title = `${lookName(look)}, seed ${p.seed}`;
}
