// What is known of one picture, and what can be done with it: the same words on the map's card and in the large view.

import { fixed, glyph, h, lookName, NEW } from '../../lib/dom.js';
import { emit, state, thumb } from '../../lib/store.js';
import { openLarge } from './large.js';

const SCORES = 3; // shown at most
const lookOf = (picture) => (picture.look == null ? null : picture.look < 0 ? NEW : picture.look);

export function titleOf(picture) {
  const name = lookName(lookOf(picture));
  return { base: `Base model, ${name.replace(/^./, (c) => c.toLowerCase())}`, sample: `Sampled, ${name}` }[picture.kind] ?? name;
}

/** One sentence, for those who hear it. */
export function spoken(picture) {
  const rank = picture.kind === 'train' ? `, rank ${picture.rank} of ${picture.of}, iteration ${picture.iteration}` : '';
  return `${titleOf(picture)}, reward ${fixed(picture.reward)}${rank}, seed ${picture.seed}.`;
}

/** The picture and its look. */
export function look(picture, side) {
  return h(
    'div',
    { class: 'pic' },
    h('img', { src: thumb(picture.id), alt: `${titleOf(picture)}, picture`, width: side, height: side }),
    h('div', { class: 'lk' }, glyph(lookOf(picture), 11), titleOf(picture)),
  );
}

export function facts(picture) {
  const row = (name, value) => h('div', {}, h('dt', {}, name), h('dd', {}, value));
  const own = picture.kind === 'train' ? [row('Rank', `${picture.rank} of ${picture.of}`)] : [];
  const when = picture.kind === 'base' ? [] : [row('Iteration', String(picture.iteration))];
  const prompt = state.all ? [row('Prompt', state.info.prompts[picture.prompt].text.slice(0, 60))] : [];
  const scores = Object.entries(picture.scores)
    .slice(0, SCORES)
    .map(([name, value]) => row(state.info.rewards[name] ?? name, fixed(value, 3)));
  return h('dl', {}, prompt, row('Reward', fixed(picture.reward)), own, row('Seed', picture.seed), when, scores);
}

export function actions(picture, withLarge = true) {
  const compare = () => {
    state.compare = { prompt: picture.prompt, seed: picture.seed };
    emit('compare');
    window.manymodes.show('compare');
  };
  return h(
    'div',
    { class: 'acts' },
    withLarge ? h('button', { class: 'btn sm', onclick: () => openLarge(picture) }, 'Open large') : null,
    h('button', { class: 'btn sm', onclick: compare }, 'Find this seed in Compare'),
  );
}
