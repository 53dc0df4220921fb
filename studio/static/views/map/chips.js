// A label for each cloud of the base: the most typical picture, the letter and the share now and then; of all prompts, the
// name and its variety now. On each outline the same letter or name again.

import { $, glyph, h, lookLetter, percent, say } from '../../lib/dom.js';
import { looksOf, rowAt, sharesAt, state, thumb, viewed } from '../../lib/store.js';
import { mappedPrompts } from './paint.js';

const SHORT = 12; // letters of a name on an outline
const LAST = 8; // iterations that the variety of a prompt is a mean of

export function drawChips(chips, frame) {
  const shown = frame.hulls.slice(0, frame.corners.length);
  const key = `${state.run}:${state.all ? 'all' : state.prompt}:${shown.map((g) => g.key).join()}`;
  if (chips.dataset.key !== key) {
    chips.dataset.key = key;
    chips.replaceChildren(...shown.map((cloud) => (state.all ? promptChip(cloud.key) : lookChip(cloud.key))), ...shown.map((cloud) => letter(cloud.key)));
  }
  const shares = state.all ? null : sharesAt(viewed());
  shown.forEach((cloud, i) => {
    const { left, top } = frame.corners[i];
    move(chips.children[i], left, top);
    move(chips.children[shown.length + i], ...frame.letters[i]);
    if (state.all) say($('.then', chips.children[i]), looksNow(cloud.key));
    else say($('.now', chips.children[i]), shares ? percent(shares[cloud.key] ?? 0) : '');
  });
}

function move(node, x, y) {
  const moved = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
  if (node.style.transform !== moved) node.style.transform = moved;
}

/** The letter of a look, or the first words of a prompt. */
function letter(key) {
  const name = state.all ? state.info.prompts[key].text : lookLetter(key);
  return h('b', { class: 'at', dir: 'auto' }, name.length > SHORT ? `${name.slice(0, SHORT - 1).trim()}…` : name);
}

function lookChip(look) {
  const { share, picture } = looksOf().find((l) => l.look === look);
  return chip(picture, [glyph(look), h('span', {}, lookLetter(look)), h('span', { class: 'now' })], `base ${percent(share)}`);
}

function promptChip(prompt) {
  const name = h('span', { class: 'text', dir: 'auto' }, state.info.prompts[prompt].text.slice(0, 60));
  return chip(looksOf(prompt)[0]?.picture, [glyph(mappedPrompts().indexOf(prompt)), name], '', 'chip named');
}

function chip(picture, name, then, kind = 'chip') {
  const image = picture == null ? null : h('img', { alt: '', src: thumb(picture), width: 30, height: 30 });
  return h('div', { class: kind }, image, h('div', {}, h('b', {}, name), h('span', { class: 'then' }, then)));
}

/** "variety 4.1 of 5.6": mean in the last iterations that drew the prompt, and of the base. */
function looksNow(prompt) {
  const key = String(prompt);
  const known = [];
  for (let row = rowAt(viewed(), has); row && row.iteration > 0 && known.length < LAST; row = rowAt(row.iteration - 1, has)) known.push(row.by_prompt[key]);
  const base = state.rows[0]?.by_prompt[key];
  if (!base) return '';
  return known.length ? `variety ${(known.reduce((a, b) => a + b) / known.length).toFixed(1)} of ${base.toFixed(1)}` : `base variety ${base.toFixed(1)}`;

  function has(row) {
    return row.by_prompt[key] != null;
  }
}
