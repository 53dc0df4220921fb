// The live dials: each row shows what is in force, what waits, and from which iteration it acts. Below them the schedule map.

import { $, h, icon, say, plain } from '../lib/dom.js';
import { state, following, viewed } from '../lib/store.js';
import { BONUS, LEASH, MORE, STRENGTH, shown } from './dials/rows.js';
import { asNumber, label, lines, sayNote, slider } from './dials/parts.js';
import { complain, pending, turn, turnable } from './dials/turning.js';
import { noise } from './dials/noise.js';
import { trainingWindow } from './dials/window.js';
import { liveSchedule } from './schedule/live.js';
import { redraw } from './live.js';

export { marksOf } from './dials/rows.js';

export function dials(root) {
  const main = [slider(BONUS), slider(LEASH), noise(), trainingWindow()],
    more = [...MORE.map((row) => slider(row)), strength()];
  const summary = h('span', { class: 'sum' }),
    lock = h('span', { class: 'lock' }, icon('lock', 14)),
    why = h('span', { class: 'sub', id: 'mm-dials-why', role: 'status' }),
    key = h('span', { class: 'sub key', title: 'The tick below a track: the usual value. Double-click the track to go there.' }, 'tick: usual', h('span', { class: 'value' }, ' value')),
    when = h('span', { class: 'sub' }),
    place = h('div', {}),
    fixedNote = h('dl', { class: 'fixed' });
  root.append(
    h('div', { class: 'hd' }, h('h2', {}, 'Dials'), lock, why, key),
    h('div', { class: 'rows', role: 'group', 'aria-label': 'Dials', 'aria-describedby': 'mm-dials-why' }, main.map((row) => row.node)),
    h('div', { class: 'sched' }, h('div', { class: 'hd' }, h('h2', {}, 'Schedule map'), when), place),
    h('details', { class: 'more' }, h('summary', {}, 'More dials', summary), more.map((row) => row.node)),
    h('div', { class: 'set' }, h('h3', {}, 'Fixed when the run started'), fixedNote),
  );
  const schedule = liveSchedule(place);
  const draw = () => {
    for (const row of [...main, ...more]) row.paint();
    root.classList.toggle('locked', !turnable());
    say(why, whether(state.head));
    const now = state.head?.dials;
    say(summary, now ? `learning rate ${plain(now.learning_rate)}, noise ${plain(now.noise_level)}` : '');
    say(when, state.head && !following() ? `as it was at iteration ${viewed()}` : 'noisy left, clean right');
    paintFixed(fixedNote);
    schedule.look();
  };
  redraw(root, 'head info run theme dials', draw);
  redraw(root, 'view rows', draw);
}

/** Whether the dials can be turned now, and if not, why. */
function whether(head) {
  if (!head) return 'locked until a run starts';
  if (head.watched) return 'locked: driven elsewhere';
  if (head.alive) return 'act next iteration';
  return head.iteration < head.iterations ? 'locked until resumed' : 'locked: run finished';
}

/** Leash strength: a number, or auto. */
function strength() {
  const { name } = STRENGTH,
    id = `mm-dial-${name}`;
  const field = h('input', { class: 'numin', id, autocomplete: 'off', onchange: (e) => set(e.target.value.trim()) }),
    note = h('div', { class: 'note' });
  const node = h('div', { class: 'dial', 'data-dial': name }, h('div', { class: 't' }, label(STRENGTH, id), field), note);

  function set(text) {
    const value = text === 'auto' ? text : asNumber(text);
    value === 'auto' || (value >= 0 && value <= 100) ? turn({ [name]: value }) : complain(name, 'Write auto, or a number from 0 to 100.');
  }
  function paint() {
    const { head } = state,
      wait = pending(name);
    field.disabled = !turnable();
    if (document.activeElement !== field) field.value = head ? shown(wait ? wait.value : head.dials[name]) : '';
    return head ? lines(note, [name], STRENGTH.help, wait && `${shown(wait.old)} → ${shown(wait.value)}`) : sayNote(note, STRENGTH.help);
  }
  return { node, paint };
}

function paintFixed(list) {
  const c = state.info?.config;
  const key = c ? state.run : '';
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.parentNode.style.visibility = c ? '' : 'hidden';
  if (!c) return;
  const rewards = Object.entries(c.rewards)
    .map(([n, w]) => `${state.info.rewards[n]}${n === 'style_preference' ? ` (${c.reward_style})` : ''}${w === 1 ? '' : ` × ${plain(w)}`}`)
    .join(', ');
  const rowsOf = [
    ['Reward', rewards],
    ['Prompts', c.prompts.length > 1 ? `${c.prompts.length}, ${c.prompts_per_iteration} an iteration` : '1'],
    ['Pictures per prompt', c.group_size],
    ['Steps', c.steps],
    ['LoRA rank', c.lora_rank],
    ['Seed', c.seed],
  ];
  list.replaceChildren(...rowsOf.flatMap(([n, v]) => [h('dt', {}, n), h('dd', {}, String(v))]));
}
