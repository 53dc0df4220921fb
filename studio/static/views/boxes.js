// The three boxes in the middle of Setup: model, prompts, reward.

import { $, h, icon, say } from '../lib/dom.js';
import { form, set } from './setup.js';
import { control, field, labelOf, read } from './fields.js';

export function modelBox() {
  const own = h('input', {
    class: 'text',
    'aria-label': 'Folder or hub name',
    placeholder: 'folder, or owner/model',
    spellcheck: 'false',
    autocomplete: 'off',
    oninput: (e) => set('model', e.target.value.trim()),
  });
  const option = (value, title, line) => {
    const state = h('em', {});
    const node = h(
      'label',
      { class: 'opt' },
      h('input', {
        type: 'radio',
        name: 'mm-model',
        value,
        onchange: () => {
          set('model', value === 'emoji-sd3' ? value : own.value.trim());
          if (value !== 'emoji-sd3') own.focus();
        },
      }),
      h('b', {}, title),
      h('span', {}, line),
      state,
    );
    return { node, state, radio: $('input', node) };
  };
  const emoji = option('emoji-sd3', 'Emoji SD3', '64 px, comes built in'),
    other = option('', 'Folder or hub name', 'Stable Diffusion 1 to 3.5, or DDPM');
  const said = h('p', { class: 'said' });
  form.draws.push(() => {
    const ships = form.values.model === 'emoji-sd3',
      place = form.checked?.model;
    if (document.activeElement !== other.radio)
      [emoji.radio.checked, other.radio.checked] = [ships && document.activeElement !== own, !ships || document.activeElement === own];
    if (document.activeElement !== own && !ships) own.value = form.values.model ?? '';
    own.hidden = !other.radio.checked;
    for (const [o, mine] of [
      [emoji, ships],
      [other, !ships],
    ]) {
      const ready = mine && place?.here;
      o.state.replaceChildren(...(ready ? [icon('check'), 'Ready'] : []));
      o.state.className = ready ? 'ready' : '';
    }
    say(said, !ships && place && !place.here && place.hub ? place.words : '');
  });
  return h(
    'div',
    { class: 'box' },
    h('h2', {}, 'Model'),
    field('model', h('div', { role: 'radiogroup', 'aria-label': 'Model' }, emoji.node, other.node), own, said),
  );
}

export function promptBox() {
  const text = h('textarea', {
    'aria-label': 'Prompts, one a line',
    placeholder: 'One prompt a line',
    spellcheck: 'false',
    dir: 'auto',
    rows: 5,
    oninput: (e) =>
      set(
        'prompts',
        e.target.value.split('\n').filter((l) => l.trim()),
      ),
  });
  const ready = h(
    'select',
    { class: 'sel', 'aria-label': 'Ready lists', onchange: (e) => pick(e.target.value) },
    h('option', { value: '' }, 'Ready lists'),
    form.known.lists.map((l, i) => h('option', { value: i }, `${l.name} (${l.prompts.length})`)),
  );
  const count = h('small', {});
  function pick(index) {
    const list = form.known.lists[index];
    ready.value = '';
    if (!list) return;
    text.blur();
    set('prompts_per_iteration', Math.min(Number(form.values.prompts_per_iteration) || 1, list.prompts.length));
    set('prompts', list.prompts);
  }
  form.draws.push(() => {
    const prompts = form.values.prompts || [];
    if (document.activeElement !== text) text.value = prompts.join('\n');
    say(count, prompts.length > 1 ? String(prompts.length) : '');
  });
  return h(
    'div',
    { class: 'box' },
    h('h2', {}, 'Prompts', count, h('span', { class: 'r' }, ready)),
    field('prompts', text),
    control('prompts_per_iteration'),
    control('group_size'),
  );
}

export function rewardBox() {
  const list = h('div', { class: 'rewards' });
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
  const put = (rewards) => set('rewards', rewards);
  let key = '';
  form.draws.push(() => {
    const used = Object.keys(form.values.rewards || {}),
      now = used.join();
    if (now !== key) {
      key = now;
      list.replaceChildren(...used.map((n) => row(n, put)));
      const free = form.known.rewards.filter((r) => !used.includes(r.name));
      add.replaceChildren(h('option', { value: '' }, 'Add'), ...free.map((r) => h('option', { value: r.name }, r.label)));
      add.disabled = !free.length || used.length >= 6;
    }
    for (const node of list.children) {
      const weight = form.values.rewards[node.dataset.reward],
        [range, number] = node.querySelectorAll('input');
      if (document.activeElement !== number) number.value = weight;
      range.value = weight;
      range.style.setProperty('--p', `${(100 * Math.max(0, Math.min(2, weight))) / 2}%`);
    }
    style.hidden = !used.includes('style_preference');
    file.hidden = !used.includes('own');
  });
  return h(
    'div',
    { class: 'box' },
    h('h2', {}, 'Reward', h('small', {}, 'with its weight'), h('span', { class: 'r' }, add)),
    field('rewards', list),
    style,
    file,
    h('p', { class: 'said' }, 'Each reward is brought to the same scale before it is weighed.'),
  );
}

function row(name, put) {
  const known = form.known.rewards.find((r) => r.name === name) || { label: name, help: '' };
  const weigh = (value) => put({ ...form.values.rewards, [name]: value });
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
    h(
      'button',
      {
        class: 'x',
        'aria-label': `Remove ${known.label}`,
        title: 'Remove',
        onclick: () => {
          const { [name]: _, ...rest } = form.values.rewards;
          put(rest);
        },
      },
      icon('cross', 12),
    ),
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
