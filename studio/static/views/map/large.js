// One picture as large as the window allows; arrows walk the group it was made in.

import { $, h, say } from '../../lib/dom.js';
import { get, runPath } from '../../lib/store.js';
import { actions, facts, look } from './facts.js';

const SIDE = 512; // pixels

export async function openLarge(picture) {
  const place = h('div', { class: 'large' });
  const at = h('span', { class: 'sub' });
  const step = (by) => show(group[group.findIndex((p) => p.id === current.id) + by]);
  const before = h('button', { class: 'btn sm', onclick: () => step(-1) }, '← Before');
  const after = h('button', { class: 'btn sm', onclick: () => step(1) }, 'After →');
  const box = h(
    'dialog',
    { class: 'mm mm-large', tabindex: -1, 'aria-label': 'Picture', onclick: (e) => e.target === box && box.close(), onclose: () => box.remove() },
    place,
    h('div', { class: 'walk' }, before, after, at, h('button', { class: 'btn sm', onclick: () => box.close() }, 'Close')),
  );
  let current = picture;
  let group = [picture];

  async function show(next) {
    if (!next) return;
    const more = await get(runPath(`pictures/${next.id}`)).catch(() => null);
    if (!more) return;
    current = more;
    const i = group.findIndex((p) => p.id === more.id);
    const buttons = actions(more, false);
    $('button', buttons).addEventListener('click', () => box.close());
    place.replaceChildren(look(more, SIDE), h('div', { class: 'side' }, facts(more), buttons));
    say(at, group.length > 1 ? `${i + 1} of ${group.length}, best first` : '');
    before.disabled = i <= 0;
    after.disabled = i + 1 >= group.length;
  }
  box.addEventListener('keydown', (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    step(by);
  });
  document.body.append(box);
  await show(picture);
  box.showModal();
  box.focus(); // not a button that the next picture replaces: the arrows must still be heard
  if (picture.kind !== 'train') return;
  const found = await get(runPath(`pictures?iteration=${picture.iteration}&prompt=${picture.prompt}`)).catch(() => null);
  if (found?.iteration !== picture.iteration) return;
  group = found.pictures.sort((a, b) => b.reward - a.reward);
  show(current);
}
