// Which prompt, which seeds, how strong; pairs or two grids; a sheet to keep.

import { $, h, say, svg, clamp } from '../../lib/dom.js';
import { state, on, thumb, looksOf, promptInfo, view } from '../../lib/store.js';
import { SEEDS, asText, change, model } from './model.js';

const SETTLE = 120; // milliseconds that the slider rests before pictures are asked for
const LAST = 2 ** 31 - 1 - SEEDS;
const MOST = 100; // prompts listed at once
const STROKE = { viewBox: '0 0 20 20', fill: 'none', stroke: 'currentColor', 'stroke-width': 1.5, 'stroke-linecap': 'round', 'stroke-linejoin': 'round', 'aria-hidden': 'true' };
const DICE = '<rect x="3.6" y="3.6" width="12.8" height="12.8" rx="2.6"/><path d="M7.2 7.2h.01M12.8 7.2h.01M10 10h.01M7.2 12.8h.01M12.8 12.8h.01" stroke-width="2"/>';
const DOWN = '<path d="M10 3.6v8.6M6.600 9l3.400 3.400L13.400 9M4 15.800h12"/>';

export function toolbar(root) {
  root.append(picker(), seeds(), strength(), layouts());
}

// --- prompt --------------------------------------------------------------------------------------------------------------
function picker() {
  const image = h('img', { alt: '', width: 24, height: 24 });
  const field = h('input', {
    id: 'mm-search', type: 'text', role: 'combobox', 'aria-expanded': 'false', 'aria-controls': 'mm-prompts', 'aria-autocomplete': 'list', 'aria-label': 'Prompt',
    autocomplete: 'off', spellcheck: 'false', dir: 'auto',
  });
  const list = h('ul', { id: 'mm-prompts', role: 'listbox', 'aria-label': 'Prompts', hidden: true });
  const box = h('div', { class: 'pick' }, image, field, list);
  let found = [], at = -1;

  function open() {
    field.select();
    search('');
  }
  function close() {
    list.hidden = true;
    field.setAttribute('aria-expanded', 'false');
    field.removeAttribute('aria-activedescendant');
    draw();
  }
  function search(text) {
    const words = text.trim().toLowerCase();
    const all = state.info?.prompts ?? [];
    found = all.filter((p) => p.text.toLowerCase().includes(words)).slice(0, MOST);
    at = Math.max(0, found.findIndex((p) => p.prompt === state.prompt));
    list.replaceChildren(...(found.length ? found.map(option) : [h('li', { class: 'no' }, 'No prompt with these letters.')]));
    list.hidden = false;
    field.setAttribute('aria-expanded', 'true');
    mark();
  }
  function option(p, i) {
    const look = looksOf(p.prompt)[0];
    return h(
      'li',
      { role: 'option', id: `mm-prompt-${i}`, 'aria-selected': String(p.prompt === state.prompt), dir: 'auto', onpointerdown: (e) => (e.preventDefault(), choose(p)) },
      look ? h('img', { alt: '', src: thumb(look.picture), width: 24, height: 24 }) : h('span', { class: 'blank' }),
      p.text,
    );
  }
  function mark() {
    [...list.children].forEach((li, i) => li.classList.toggle('at', i === at));
    if (found[at]) field.setAttribute('aria-activedescendant', `mm-prompt-${at}`);
    list.children[at]?.scrollIntoView({ block: 'nearest' });
  }
  function choose(p) {
    view({ prompt: p.prompt });
    change({ seed: null });
    field.blur();
  }
  field.addEventListener('focus', open);
  field.addEventListener('click', () => list.hidden && open());
  field.addEventListener('blur', close);
  field.addEventListener('input', () => search(field.value));
  field.addEventListener('keydown', (e) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (step && found.length) {
      if (list.hidden) search('');
      else at = (at + step + found.length) % found.length;
      mark();
    } else if (e.key === 'Enter' && !list.hidden && found[at]) choose(found[at]);
    else if (e.key === 'Escape') field.blur();
    else return;
    e.preventDefault();
  });
  function draw() {
    const look = looksOf()[0];
    const text = promptInfo()?.text ?? '';
    if (list.hidden) field.value = text;
    field.title = [text, 'Choose a prompt  /'].filter(Boolean).join('\n');
    image.style.visibility = look ? '' : 'hidden';
    if (look && image.getAttribute('src') !== thumb(look.picture)) image.src = thumb(look.picture);
  }
  on('info view run compare', draw);
  draw();
  return box;
}

// --- seeds ---------------------------------------------------------------------------------------------------------------
function seeds() {
  const first = h('input', { class: 'numin', inputmode: 'numeric', autocomplete: 'off', 'aria-label': 'First seed', title: `Whole number from 0 to ${LAST}` });
  const last = h('span', { class: 'to' });
  first.addEventListener('change', () => {
    const value = Number(first.value.trim());
    const good = first.value.trim() !== '' && Number.isInteger(value) && value >= 0 && value <= LAST;
    first.setAttribute('aria-invalid', String(!good));
    if (good) change({ first: value, seed: null });
  });
  const next = h(
    'button',
    { class: 'btn sm', id: 'mm-next-seeds', 'aria-label': `Next ${SEEDS} seeds`, title: `Next ${SEEDS} seeds  N`, onclick: () => change({ first: model.first + SEEDS > LAST ? 0 : model.first + SEEDS, seed: null }) },
    svg(16, 16, DICE, STROKE),
  );
  const draw = () => {
    if (document.activeElement !== first) {
      first.value = model.first;
      first.setAttribute('aria-invalid', 'false');
    }
    say(last, `to ${model.first + SEEDS - 1}`);
  };
  on('compare', draw);
  draw();
  return h('div', { class: 'grp' }, h('span', {}, 'Seeds'), first, last, next);
}

// --- strength ------------------------------------------------------------------------------------------------------------
function strength() {
  const range = h('input', { type: 'range', id: 'mm-strength', min: 0, max: 150, step: 5, list: 'mm-strengths' });
  const number = h('input', { class: 'numin', inputmode: 'decimal', autocomplete: 'off', 'aria-label': 'LoRA strength, number' });
  let timer = null, turning = null;
  const turn = (value, wait) => {
    turning = value;
    draw();
    clearTimeout(timer);
    timer = setTimeout(() => {
      turning = null;
      change({ right: [model.right[0], value] });
    }, wait);
  };
  range.addEventListener('input', () => turn(Number(range.value), SETTLE));
  range.addEventListener('dblclick', () => turn(100, 0));
  number.addEventListener('change', () => {
    const value = Math.round(Number(number.value.replace(',', '.')) * 100);
    const good = number.value.trim() !== '' && value >= 0 && value <= 150;
    number.setAttribute('aria-invalid', String(!good));
    if (good) turn(value, 0);
  });
  const draw = () => {
    const value = turning ?? model.right[1];
    if (Number(range.value) !== value) range.value = value;
    const share = clamp(value / 150, 0, 1);
    range.style.setProperty('--p', `calc(${(100 * share).toFixed(2)}% + ${(7 - 14 * share).toFixed(2)}px)`);
    range.setAttribute('aria-valuetext', `${(value / 100).toFixed(2)}${value === 100 ? ', as trained' : value === 0 ? ', the base model' : ''}`);
    if (document.activeElement !== number) {
      number.value = (value / 100).toFixed(2);
      number.setAttribute('aria-invalid', 'false');
    }
  };
  on('compare', draw);
  draw();
  const mark = (at, words, side) => h('small', { style: `left:calc(${(at / 1.5) * 100}% + ${7 - (at / 1.5) * 14}px)`, class: side }, words);
  return h(
    'div',
    { class: 'grp lora' },
    h('label', { for: 'mm-strength', title: 'How much of the tuning is added to the base model' }, h('span', {}, 'LoRA '), 'strength'),
    h('div', { class: 'track' }, range, mark(0, '0', ''), mark(1, 'as trained', ''), mark(1.5, '1.5', '')),
    number,
  );
}

// --- view and sheet --------------------------------------------------------------------------------------------------------
function layouts() {
  const button = (layout, words) => h('button', { 'data-layout': layout, onclick: () => change({ layout }) }, words);
  const seg = h('span', { class: 'seg', role: 'group', 'aria-label': 'View' }, button('pairs', 'Pairs'), button('grids', 'Two grids'));
  const save = h('a', { class: 'btn', id: 'mm-sheet', download: '' }, svg(16, 16, DOWN, STROKE), h('span', {}, 'Export PNG'));
  save.addEventListener('click', (e) => save.getAttribute('aria-disabled') === 'true' && e.preventDefault());
  const draw = () => {
    for (const b of seg.children) b.setAttribute('aria-pressed', String(b.dataset.layout === model.layout));
    const ready = model.shown?.missing === 0;
    save.setAttribute('aria-disabled', String(!ready));
    save.title = ready ? 'A sheet of these pictures, with prompt, seeds, run, strength and iteration' : 'Once all pictures are made';
    if (ready) save.href = `/api/runs/${encodeURIComponent(state.run)}/compare/sheet.png?layout=${model.layout}&ask=${asText()}`;
    else save.removeAttribute('href');
  };
  on('compare', draw);
  draw();
  return h('div', { class: 'end' }, seg, save);
}
