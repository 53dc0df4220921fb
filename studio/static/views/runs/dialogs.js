// The three questions that Runs asks: delete for good, which file to export, which folder to watch.

import { $, h, say } from '../../lib/dom.js';
import { get, post, openRun, listRuns, state } from '../../lib/store.js';
import { modelName } from '../strip.js';
import { at, attempt, screen } from './actions.js';
import { bytes } from './row.js';

/** A dialog with a form; it is gone once closed. `act(form)` may throw: its sentence is shown and the dialog stays. */
function dialog(title, inside, verb, act, tone = '') {
  const wrong = h('p', { class: 'wrong', role: 'alert' });
  const button = h('button', { class: `btn main ${tone}`, type: 'submit' }, verb);
  const form = h(
    'form',
    {
      method: 'dialog',
      onsubmit: async (event) => {
        event.preventDefault();
        button.disabled = true;
        try {
          await act(form);
          node.close();
        } catch (problem) {
          say(wrong, problem.message.replace(/^\w+: /, ''));
          button.disabled = false;
        }
      },
    },
    h('h2', {}, title),
    inside,
    wrong,
    h('div', { class: 'end' }, h('button', { class: 'btn', type: 'button', onclick: () => node.close() }, 'Cancel'), button),
  );
  const node = h('dialog', { class: 'mm mm-ask', 'aria-label': title, onclose: () => node.remove() }, form);
  document.body.append(node);
  node.showModal();
  return { node, form, button };
}

const textField = (label, more) => h('label', { class: 'ask' }, label, h('input', { class: 'text', name: 'text', autocomplete: 'off', spellcheck: 'false', ...more }));

export function askDelete(run, archived = false) {
  const path = archived ? `/api/archived/${encodeURIComponent(run.name)}/delete` : at(run.name, 'delete');
  const { form, button } = dialog(
    `Delete ${run.name}`,
    [
      h('p', {}, `Its pictures, checkpoints and files for export go for good: ${bytes(run.size)}. Archiving keeps them.`),
      textField(['Type ', h('b', {}, run.name), ' to delete it'], { maxlength: 60 }),
    ],
    'Delete for good',
    async () => {
      await post(path, { typed: form.elements.text.value });
      if (state.run === run.name && !archived) openRun(null);
      screen.say(`Deleted ${run.name}.`);
      await Promise.all([screen.refresh(), listRuns()]);
    },
    'danger',
  );
  button.disabled = true;
  form.elements.text.addEventListener('input', () => {
    button.disabled = form.elements.text.value !== run.name;
  });
  form.elements.text.focus();
}

export function askWatch() {
  const { form } = dialog(
    'Watch a folder',
    [
      h('p', {}, 'A run of another machine whose folder can be reached from here, for example over a network drive. It is only read: its dials and its end stay with the machine that drives it.'),
      textField('Folder of the run', { placeholder: '/mnt/cluster/runs/drift-03', maxlength: 4096 }),
    ],
    'Watch',
    async () => {
      const { run } = await post('/api/watched', { path: form.elements.text.value });
      screen.say(`Watching ${run}.`);
      await Promise.all([screen.refresh(), listRuns()]);
    },
  );
  form.elements.text.focus();
}

const FORMS = {
  comfy: ['ComfyUI, A1111', 'Put it into models/loras (ComfyUI) or models/Lora (Forge; A1111 for SD 1 and 2 only).'],
  diffusers: ['diffusers', 'Load it with pipe.load_lora_weights(file).'],
};

export const askExport = (run) => attempt(() => exportLora(run.name));

/** Ask which file, with these weights and this strength chosen. `told(sentence)` hears what came of it. Throws if the run cannot be read. */
export async function exportLora(name, { iteration, strength = 1, told = (words) => screen.say(words) } = {}) {
  const { saved, forms, model, licence } = await get(at(name, 'lora'));
  if (!saved.length) return told('Nothing is saved yet.');
  const kinds = Object.keys(FORMS).filter((kind) => kind in forms);
  if (!kinds.length) return told(`${modelName(model)} takes no prompt, so only peft opens its LoRA: it is in the folder export of ${name}.`);
  const choice = h('select', { class: 'sel', name: 'iteration' }, ...[...saved].reverse().map((n) => h('option', { value: n }, `iteration ${n}`)));
  if (saved.includes(iteration)) choice.value = iteration;
  const much = h('input', { class: 'numin', name: 'strength', inputmode: 'decimal', autocomplete: 'off', value: strength.toFixed(2) });
  dialog(
    `Export LoRA of ${name}`,
    [
      h(
        'fieldset',
        {},
        h('legend', {}, 'For'),
        kinds.map((kind, i) => h('label', { class: 'kind' }, h('input', { type: 'radio', name: 'kind', value: kind, checked: i === 0 }), h('b', {}, FORMS[kind][0]), h('span', {}, FORMS[kind][1]))),
      ),
      h('div', { class: 'two' }, h('label', { class: 'ask row' }, 'Weights of', choice), h('label', { class: 'ask row' }, 'Strength', much)),
      h('p', {}, 'Strength 1 is as trained, 1.5 the most. It goes into the file: the other program then has it at 1.'),
      h('p', {}, `The file changes ${modelName(model)}${licence ? `, whose licence is ${licence}` : '; look up the licence of that model before you share it'}. It says which run, prompts and settings made it.`),
    ],
    'Download',
    (form) => download(name, $('[name=kind]:checked', form).value, choice.value, much.value.trim().replace(',', '.'), told),
  );
  return undefined;
}

/** Fetched rather than linked, so that a refusal is a sentence in the dialog and no broken download. */
async function download(name, kind, iteration, strength, told) {
  if (!(Number(strength) > 0)) throw new Error('strength: Use a number above 0, up to 1.5.');
  const answer = await fetch(at(name, `lora/${kind}.safetensors?iteration=${iteration}&strength=${Number(strength)}`));
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || `The studio answered ${answer.status}.`);
  const file = await answer.blob(),
    url = URL.createObjectURL(file);
  const title = /filename="([^"]+)"/.exec(answer.headers.get('Content-Disposition'))?.[1] ?? `${name}.safetensors`;
  h('a', { href: url, download: title }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  told(`Saved ${title}, ${bytes(file.size)}.`);
}
