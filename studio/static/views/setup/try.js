// Try the reward: pictures of one's own, dropped or chosen, scored by a process that ends right after. Best first.

import { h, icon, say, plain } from '../../lib/dom.js';
import { post } from '../../lib/store.js';
import { form } from './form.js';

const MOST = 64;
const LARGEST = 10 * 2 ** 20; // bytes
const NAMES = 200; // prompts that are offered to score against

export function tryReward() {
  const words = h('span', { class: 'words', role: 'status' }, 'Your pictures, best first'),
    grid = h('div', { class: 'sc', role: 'group', 'aria-label': 'Scored pictures' }),
    as = h('select', { class: 'sel', 'aria-label': 'Prompt that the pictures should match' }),
    input = h('input', { type: 'file', accept: 'image/*', multiple: true, hidden: true, onchange: () => go([...input.files]) }),
    button = h('button', { class: 'btn sm', onclick: () => input.click() }, icon('plus', 12), 'Try the reward');
  let busy = false,
    last = [],
    key = '';
  const match = h('label', { class: 'as' }, 'as pictures of', as);
  const box = h('div', { class: 'try' }, h('div', { class: 'l' }, words, button, input), match, grid);

  async function go(files) {
    input.value = '';
    if (busy || !files.length) return;
    const wrong = refusal(files);
    if (wrong) return say(words, wrong);
    busy = button.disabled = true;
    last = files;
    try {
      const { try: name } = await post('/api/try', { config: form.values, prompt: as.value });
      for (const [i, file] of files.entries()) {
        say(words, files.length > 1 ? `Reading ${i + 1} of ${files.length}` : 'Reading it');
        await send(name, file);
      }
      say(words, 'Loading the reward');
      show(await post(`/api/try/${name}/scores`));
    } catch (problem) {
      say(words, problem.message.replace(/^\w+: /, ''));
    }
    busy = button.disabled = false;
    return undefined;
  }

  function show(answer) {
    grid.querySelectorAll('img').forEach((i) => URL.revokeObjectURL(i.src));
    const names = Object.keys(answer.pictures.find((p) => p.raw)?.raw ?? {}),
      only = names.length === 1 ? names[0] : null,
      value = (p) => (p.raw ? (only ? p.raw[only] : p.total) : null);
    const all = answer.pictures.map(value).filter((v) => v !== null),
      low = Math.min(...all),
      span = Math.max(...all) - low || 1;
    grid.replaceChildren(...answer.pictures.map((p) => tile(p, last[p.index], value(p), value(p) === null ? 0 : 0.08 + (0.92 * (value(p) - low)) / span)));
    grid.tabIndex = 0; // many of them scroll
    say(words, `${all.length} scored at ${answer.side} px, best first`);
    words.title = only ? labelOfReward(only) : 'Weighted sum; each reward on the scale of these pictures: 0 is their mean, 1 one spread.';
  }

  form.takePictures = go;
  for (const kind of ['dragover', 'drop'])
    box.addEventListener(kind, (e) => {
      e.preventDefault();
      box.classList.toggle('over', kind === 'dragover');
      if (kind === 'drop') go([...e.dataTransfer.files]);
    });
  box.addEventListener('dragleave', () => box.classList.remove('over'));
  form.draws.push(() => {
    const prompts = [...new Set(form.values.prompts || [])].slice(0, NAMES);
    if (prompts.join('\n') !== key) {
      key = prompts.join('\n');
      const chosen = as.value;
      as.replaceChildren(...prompts.map((p) => h('option', { value: p }, p.slice(0, 80))));
      if (prompts.includes(chosen)) as.value = chosen;
    }
    match.hidden = prompts.length < 2 || !('clip_score' in (form.values.rewards || {}) || 'own' in (form.values.rewards || {}));
  });
  return box;
}

function refusal(files) {
  if (files.length > MOST) return `${files.length} pictures are too many. Drop up to ${MOST} at a time.`;
  const large = files.find((f) => f.size > LARGEST);
  return large ? `${large.name} has ${(large.size / 2 ** 20).toFixed(0)} MB. Use files of up to 10 MB.` : '';
}

async function send(name, file) {
  const answer = await fetch(`/api/try/${name}/pictures`, { method: 'POST', headers: { 'Content-Type': 'application/octet-stream' }, body: file });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || 'The studio could not take the picture.');
}

const labelOfReward = (name) => form.known.rewards.find((r) => r.name === name)?.label ?? name;
const short = (v) => plain(Number(v.toPrecision(3)));

function tile(p, file, value, share) {
  const details = p.error ?? Object.entries(p.raw).map(([n, v]) => `${labelOfReward(n)} ${v === null ? 'none' : short(v)}`).join(', ');
  return h(
    'figure',
    { title: `${file.name}: ${details}` },
    h('img', { src: URL.createObjectURL(file), alt: file.name, loading: 'lazy' }),
    h('span', { class: 'bar' }, h('i', { style: `width:${(100 * share).toFixed(0)}%` })),
    h('figcaption', {}, value === null ? 'none' : short(value)),
  );
}
