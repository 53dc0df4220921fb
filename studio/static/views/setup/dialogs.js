// Load a setup, and save one as a preset: two dialogs over the form.

import { h, icon, say } from '../../lib/dom.js';
import { get, post } from '../../lib/store.js';
import { form, load, check, draw, changes, isBase } from './form.js';

const HEADS = { run: 'From a run', own: 'Your presets', rivals: 'Bases and rivals on the embedded model', real: 'On models from the hub' };

function dialog(id, title, ...inside) {
  document.getElementById(id)?.remove();
  const box = h(
    'dialog',
    { id, class: 'mm mm-setups', 'aria-labelledby': `${id}-title`, onclick: (e) => e.target === box && box.close(), onclose: () => box.remove() },
    h(
      'div',
      { class: 'hd' },
      h('h2', { id: `${id}-title` }, title),
      h('button', { class: 'btn sm ghost r', 'aria-label': 'Close', onclick: () => box.close() }, icon('cross', 14)),
    ),
    ...inside,
  );
  document.body.append(box);
  box.showModal();
  return box;
}

// --- load -----------------------------------------------------------------------------------------------------------
/** The dialog; a file that was dropped elsewhere is read at once. */
export async function openLoad(first = null) {
  const said = h('p', { class: 'wrong', role: 'alert' }),
    list = h('div', { class: 'list' }),
    input = h('input', { type: 'file', accept: '.yaml,.yml', hidden: true, onchange: () => dropped(input.files[0]) }),
    file = h('button', { class: 'drop', onclick: () => input.click() }, icon('plus', 16), 'Drop a YAML file here, or choose one');
  const box = dialog('mm-load', 'Load a setup', file, input, said, list);
  for (const kind of ['dragover', 'drop'])
    box.addEventListener(kind, (e) => {
      e.preventDefault();
      file.classList.toggle('over', kind === 'dragover');
      if (kind === 'drop') dropped(e.dataTransfer.files[0]);
    });
  box.addEventListener('dragleave', () => file.classList.remove('over'));

  const take = async (kind, name, text = '') => {
    try {
      const answer = await post('/api/setups/read', { kind, name, text });
      load({ kind, name: kind === 'file' ? name.replace(/\.ya?ml$/, '') : name, ...answer });
      box.close();
    } catch (problem) {
      say(said, problem.message);
    }
  };
  const dropped = async (one) => {
    if (!one) return;
    if (one.size > 2 ** 20) say(said, `${one.name} is larger than 1 MB, so it holds no setup.`);
    else take('file', one.name, await one.text());
  };
  const fill = async () => {
    const { setups } = await get('/api/setups');
    list.replaceChildren(
      ...Object.entries(HEADS).flatMap(([kind, head]) => {
        const some = setups.filter((s) => s.kind === kind);
        return some.length ? [h('h3', {}, head), ...some.map((s) => row(s, take, fill, said))] : [];
      }),
    );
  };
  if (first instanceof File) dropped(first);
  await fill().catch((problem) => say(said, problem.message));
}

function row(setup, take, refill, said) {
  const open = h(
    'button',
    { class: 'one', onclick: () => take(setup.kind, setup.name) },
    h('b', { dir: 'auto' }, setup.title),
    h('span', { dir: 'auto' }, setup.line),
  );
  if (setup.kind !== 'own') return h('div', { class: 'setup' }, open);
  const rename = h('button', { class: 'btn sm ghost', 'aria-label': `Rename ${setup.title}`, onclick: ask }, 'Rename');
  const remove = h('button', { class: 'btn sm ghost', 'aria-label': `Delete ${setup.title}`, onclick: drop }, 'Delete');
  function ask() {
    const title = h('input', { class: 'text', 'aria-label': `New name of ${setup.title}`, maxlength: 60, autocomplete: 'off', value: setup.title });
    const keep = async (e) => {
      e.preventDefault();
      try {
        const { name } = await post(`/api/own-presets/${encodeURIComponent(setup.name)}/rename`, { title: title.value });
        if (isBase('own', setup.name)) Object.assign(form.base, { name, title: title.value.trim() });
        say(said, '');
        await afresh(refill);
      } catch (problem) {
        say(said, problem.message.replace(/^\w+: /, ''));
      }
    };
    node.replaceChildren(h('form', { class: 'rename', onsubmit: keep }, title, h('button', { class: 'btn sm', type: 'submit' }, 'Rename')));
    title.select();
  }
  async function drop() {
    if (remove.textContent === 'Delete') return say(remove, 'Delete for good');
    try {
      await post(`/api/own-presets/${encodeURIComponent(setup.name)}/delete`);
      await afresh(refill);
    } catch (problem) {
      say(said, problem.message);
    }
    return undefined;
  }
  remove.addEventListener('blur', () => say(remove, 'Delete'));
  const node = h('div', { class: 'setup' }, open, rename, remove);
  return node;
}

/** Own presets were changed: cards and list show them. */
async function afresh(refill) {
  form.known = await get('/api/presets');
  draw();
  await refill();
}

// --- save -----------------------------------------------------------------------------------------------------------
export function openSave() {
  const title = h('input', { class: 'text', 'aria-label': 'Name of the preset', maxlength: 60, autocomplete: 'off', placeholder: 'Name', value: suggestion() }),
    line = h('input', { class: 'text', 'aria-label': 'What it does, in a line', maxlength: 120, autocomplete: 'off', placeholder: 'What it does, in a line (may stay empty)' }),
    said = h('p', { class: 'wrong', role: 'alert' }),
    save = h('button', { class: 'btn', type: 'submit' }, 'Save'),
    over = h('button', { class: 'btn', type: 'button', hidden: true, onclick: () => keep(true) }, 'Overwrite it');
  const box = dialog(
    'mm-save',
    'Save as preset',
    h(
      'form',
      {
        onsubmit: (e) => {
          e.preventDefault();
          keep(false);
        },
      },
      title,
      line,
      said,
      h('div', { class: 'acts' }, save, over),
    ),
  );
  title.select();
  title.addEventListener('input', () => {
    over.hidden = true;
    say(said, '');
  });
  async function keep(overwrite) {
    try {
      const { name } = await post('/api/own-presets', { title: title.value, line: line.value, config: form.values, overwrite });
      form.known = await get('/api/presets');
      form.base = { kind: 'own', name, title: title.value.trim(), values: structuredClone(form.values) };
      box.close();
      check();
      draw();
    } catch (problem) {
      say(said, problem.message.replace(/^\w+: /, ''));
      over.hidden = problem.field !== 'overwrite';
      if (!over.hidden) over.focus();
    }
  }
}

/** The own preset that is being changed, or a new name after the one that was chosen. */
const suggestion = () => (form.base.kind === 'own' ? form.base.title : `${form.base.title}, ${changes().length ? 'changed' : 'again'}`).slice(0, 60);
