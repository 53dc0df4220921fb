// What is rewarded, with weights, and a try of it on pictures of one's own.

import { h, icon } from '../../lib/dom.js';
import { form, set, labelOf } from './form.js';
import { control, field, read } from './fields.js';
import { tryReward } from './try.js';

const MOST = 6;

export function rewardBox() {
  const list = h('div', { class: 'rewards' });
  const put = (rewards) => set('rewards', rewards);
  const add = h('select', {
    class: 'sel add',
    'aria-label': 'Add a reward',
    onchange: (e) => {
      const n = e.target.value;
      e.target.value = '';
      if (n) put({ ...form.values.rewards, [n]: 1 });
    },
  });
  const style = control('reward_style', 'Which style'),
    file = ownFile();
  let key = '';
  form.draws.push(() => {
    const used = Object.keys(form.values.rewards || {}),
      now = used.join();
    if (now !== key) {
      key = now;
      list.replaceChildren(...used.map((n) => row(n, put)));
      const free = form.known.rewards.filter((r) => !used.includes(r.name));
      add.replaceChildren(h('option', { value: '' }, 'Add'), ...free.map((r) => h('option', { value: r.name, title: r.help }, r.label)));
      add.disabled = !free.length || used.length >= MOST;
    }
    for (const node of list.children) {
      const weight = form.values.rewards[node.dataset.reward],
        [range, number] = node.querySelectorAll('input');
      if (document.activeElement !== number) number.value = typeof weight === 'number' ? weight.toFixed(1) : weight;
      range.value = weight;
      range.style.setProperty('--p', `${(100 * Math.max(0, Math.min(2, weight))) / 2}%`);
    }
    style.hidden = !used.includes('style_preference');
    file.hidden = !used.includes('own');
  });
  return h(
    'div',
    { class: 'box' },
    h('h2', { title: 'Each reward is brought to the same scale before it is weighed.' }, 'Reward', h('small', {}, 'with its weight'), h('span', { class: 'r' }, add)),
    field('rewards', list),
    style,
    file,
    tryReward(),
  );
}

function row(name, put) {
  const known = form.known.rewards.find((r) => r.name === name) || { label: name, help: '' };
  const weigh = (value) => put({ ...form.values.rewards, [name]: value });
  const remove = () => {
    const { [name]: _, ...rest } = form.values.rewards;
    put(rest);
  };
  return h(
    'div',
    { class: 'rw', 'data-reward': name, title: known.help },
    h('span', {}, known.label),
    h('input', {
      type: 'range',
      min: 0,
      max: 2,
      step: 0.1,
      'aria-label': `Weight of ${known.label}`,
      oninput: (e) => weigh(Number(e.target.value)),
    }),
    h('input', {
      class: 'numin',
      'aria-label': `Weight of ${known.label}, number`,
      autocomplete: 'off',
      oninput: (e) => weigh(read(e.target.value)),
    }),
    h('button', { class: 'x', 'aria-label': `Remove ${known.label}`, title: 'Remove', onclick: remove }, icon('cross', 12)),
  );
}

function ownFile() {
  const input = h('input', {
    class: 'text',
    'aria-label': labelOf('reward_file'),
    placeholder: 'path of a Python file',
    spellcheck: 'false',
    autocomplete: 'off',
    oninput: (e) => set('reward_file', e.target.value.trim() || null),
  });
  form.draws.push(() => {
    if (document.activeElement !== input) input.value = form.values.reward_file ?? '';
  });
  return field('reward_file', input);
}
