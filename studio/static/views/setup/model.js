// Which model to tune: one that ships, a folder or a hub name, and what to do where it is missing.

import { $, apart, h, icon, say } from '../../lib/dom.js';
import { form, set, setAll, kindOf } from './form.js';
import { control, field } from './fields.js';
import { fetchBox } from './fetch.js';

export const modelTitle = (name) =>
  form.known.models.find((m) => m.name === name)?.title ?? (apart(name.split(/[\\/]/).filter(Boolean).pop() || name) || 'no model');

export function modelBox() {
  const own = h('input', {
    class: 'text',
    'aria-label': 'Folder or hub name',
    placeholder: 'folder, or owner/model',
    spellcheck: 'false',
    autocomplete: 'off',
    oninput: (e) => set('model', e.target.value.trim()),
  });
  const shipped = form.known.models.map((m) => option(m.name, m.title, m.line, () => use(m)));
  const other = option('', 'Folder or hub name', 'SD 1 to 3.5, or DDPM', () => {
    set('model', own.value.trim());
    own.focus();
  });
  const first = form.known.models[0];
  const remedies = h(
    'div',
    { class: 'acts' },
    h('button', { class: 'btn sm', onclick: () => (own.select(), own.focus()) }, 'Choose its folder'),
    h('button', { class: 'btn sm', onclick: () => use(first) }, `Use ${first.title}`),
  );
  const fetching = fetchBox('model', () => form.checked?.model);
  form.draws.push(() => {
    const ships = shipped.find((o) => o.value === form.values.model),
      typing = document.activeElement === own || document.activeElement === other.radio,
      place = form.checked?.model;
    const mine = typing || !ships ? other : ships;
    for (const o of [...shipped, other]) {
      o.radio.checked = o === mine;
      const known = o === mine && place,
        state = known && form.values.model ? (place.here ? 'Ready' : 'Not here') : '';
      if (o.state.textContent !== state) o.state.replaceChildren(...(state === 'Ready' ? [icon('check'), state] : state ? [state] : []));
      o.state.className = state === 'Ready' ? 'ready' : '';
    }
    if (document.activeElement !== own && !ships) own.value = form.values.model ?? '';
    own.hidden = mine !== other;
    const missing = mine === other && place && !place.here && form.values.model;
    remedies.hidden = !missing && fetching.hidden;
  });
  return h(
    'div',
    { class: 'box' },
    h('h2', {}, 'Model'),
    field('model', h('div', { role: 'radiogroup', 'aria-label': 'Model' }, [...shipped, other].map((o) => o.node)), own),
    fetching,
    remedies,
    judge(),
  );
}

const CLIPS = ['emoji-clip', 'openai/clip-vit-large-patch14', 'openai/clip-vit-base-patch32'];

/** The CLIP that says how alike pictures are and whether they match the prompt. */
function judge() {
  const row = control('clip_model', 'Looks and prompt judged by'),
    words = h('p', { class: 'said', role: 'status' }),
    input = $('input', row);
  input.setAttribute('list', 'mm-clips');
  input.spellcheck = false;
  form.draws.push(() => say(words, form.checked?.clip.here ? form.checked.clip.words : ''));
  row.append(
    h('datalist', { id: 'mm-clips' }, CLIPS.map((name) => h('option', { value: name }))),
    words,
    fetchBox('clip_model', () => form.checked?.clip),
  );
  row.classList.add('judge');
  return row;
}

/** Take a model that ships, with a noise kind that suits it. */
function use(model) {
  const noises = model.kind?.noises ?? [],
    suits = !noises.length || noises.includes(form.values.dynamics);
  setAll({ model: model.name, ...(suits ? {} : { dynamics: noises[0] }) });
}

function option(value, title, line, onchange) {
  const state = h('em', {}),
    radio = h('input', { type: 'radio', name: 'mm-model', value, onchange });
  return { value, state, radio, node: h('label', { class: 'opt' }, radio, h('b', {}, title), h('span', {}, line), state) };
}

/** True if the chosen model that ships follows prompts; unknown ones are taken to do so. */
export const takesPrompts = () => kindOf()?.prompts ?? true;
