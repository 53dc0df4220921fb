// What a person must know about the run: loading, failing, paused by itself, warnings, no run. Floats over the map, so that nothing moves.

import { $, h, hear, plain, say, seconds, together } from '../lib/dom.js';
import { state, on, command, openRun, runPath } from '../lib/store.js';
import { deed, goOn, offers, rollBack } from './remedies.js';
import { bytes } from './setup/budget.js';
import { endNow } from './strip.js';

const PATIENT = 20_000; // milliseconds that a notice stays away after *Wait*
const SLOW = 5_000; // milliseconds after which waiting is counted

let quietUntil = 0,
  sure = false; // whether *End it* was pressed once
const read = new Set(), // warnings that were dismissed
  since = { words: '', at: 0 };

export function notice(root) {
  const title = h('b', {}),
    text = h('p', {}),
    wrong = h('p', { class: 'wrong', role: 'alert' }),
    bar = h('span', { class: 'bar' }, h('i', {})),
    details = h('details', {}, h('summary', {}, 'Details'), h('pre', { tabindex: 0 })),
    acts = h('div', { class: 'acts' }),
    heard = h('p', { class: 'sr', 'aria-live': 'polite' });
  root.append(title, text, bar, wrong, details, acts);
  root.after(heard);
  let shown = '';

  const tell = (sentence) => say(wrong, sentence);
  function draw() {
    const now = words();
    root.hidden = !now;
    const alarmed = ['failed', 'died', 'silent'].includes(state.head?.state); // the strip says these at once
    hear(heard, now && !alarmed ? `${now.title} ${now.text || ''}` : '');
    if (!now) return;
    root.className = `mm-notice ${now.tone}`;
    say(title, together(now.title));
    say(text, together(now.text || ''));
    bar.hidden = now.share == null;
    bar.firstChild.style.width = `${100 * (now.share ?? 0)}%`;
    details.hidden = !now.details;
    say($('pre', details), now.details || '');
    const key = JSON.stringify([state.run, now.acts?.map((a) => a.label)]);
    if (key === shown) return;
    shown = key;
    say(wrong, '');
    acts.replaceChildren(...(now.acts ?? []).map((a) => (a.href ? link(a) : deed(a.label, a.title, () => Promise.resolve(a.act()).then(draw), tell, a.busy))));
  }
  on('head run runs trouble', draw);
  draw();
}

const link = ({ label, href }) => h('a', { class: 'btn sm', href, target: '_blank', rel: 'noopener' }, label);
const openSetup = { label: 'Open Setup', act: () => window.manymodes.show('setup') };
const openRuns = { label: 'Open Runs', act: () => window.manymodes.show('runs') };
const openLesson = { label: 'Watch the lesson', act: () => window.manymodes.show('lesson') };

const key = (warning) => `${state.run} ${warning.id}`; // numbers are of one run

/** {tone, title, text, share, details, acts} of what matters most now, or null. */
function words() {
  const { head } = state;
  if (state.trouble) return { tone: 'bad', title: `${state.run} cannot be read.`, text: state.trouble, acts: [openRuns] };
  if (!head && state.run) return null;
  if (!head && state.gone)
    return { tone: 'warn', title: `${state.gone} is not here any more.`, text: 'It was renamed, archived or deleted, or its folder is away. Should it come back, it opens again.', acts: [openRuns] };
  if (!head) return { tone: 'calm', title: 'No run yet.', text: 'Start one in Setup, or watch the lesson.', acts: [openSetup, openLesson] };
  if (head.failure) return { tone: 'bad', title: head.message || 'The trainer failed.', text: Object.keys(head.failure.changes).length ? '' : head.remedy, details: head.details, acts: afterFailure(head) };
  if (head.state === 'silent') return Date.now() < quietUntil ? null : silent(head);
  sure = false;
  if (head.rollback)
    return {
      tone: 'plain',
      title: `Rolled back to ${head.rollback.at}.`,
      text: `${head.rollback.to} goes on from there. Everything of ${head.name} is kept.`,
      acts: [{ label: `Open ${head.rollback.to}`, act: () => openRun(head.rollback.to) }],
    };
  if (head.state === 'paused' && head.message && head.message !== 'Paused') return paused(head);
  if (head.alive && head.newest < 0) return { tone: 'calm', title: waiting(head), share: head.total ? head.done / head.total : null };
  const warning = head.warnings.findLast((w) => !read.has(key(w)));
  return warning
    ? {
        tone: 'warn',
        title: `Warning at iteration ${warning.iteration}.`,
        text: warning.message,
        acts: [{ label: 'Dismiss', act: () => void read.add(key(warning)) }],
      }
    : null;
}

function afterFailure(head) {
  const { reason, saved, saving, changes } = head.failure;
  const from = saved ? `from ${saved}` : 'from the start';
  const acts = [];
  if (head.watched) return copies(head, acts);
  if (changes.micro_batch)
    acts.push({
      label: `Continue with ${changes.micro_batch} ${changes.micro_batch === 1 ? 'picture' : 'pictures'} in flight${saving ? `, ${bytes(saving)} less` : ''}`,
      title: `Goes on ${from}. Learning then holds half as much in memory at a time, and takes a little longer.`,
      act: () => goOn(changes),
    });
  else if (changes.learning_rate)
    acts.push({
      label: saved ? `Roll back to ${saved} with half the rate` : 'Start again with half the rate',
      title: `This run goes on ${from} with a learning rate of ${plain(changes.learning_rate)}${saved ? `; what came after ${saved} is made anew` : ''}.`,
      act: () => goOn(changes),
    });
  if (head.failure.checkpointing)
    acts.push({
      label: 'Turn on checkpointing',
      title: `Goes on ${from}. Learning then keeps less of each picture and works the rest out again: much less memory, about a third more time.`,
      act: () => goOn({ gradient_checkpointing: true }),
    });
  if (!changes.learning_rate)
    acts.push({ label: saved ? `Resume from ${saved}` : 'Start again', title: 'Go on with the settings as they are', act: () => goOn() });
  if (reason === 'died') acts.push({ label: 'Open log', href: runPath('log') });
  return copies(head, acts);
}

const copies = (head, acts) => [
  ...acts,
  {
    label: 'Copy report',
    act: async () => {
      const place = `${head.name}: ${head.word} at iteration ${head.iteration} of ${head.iterations}`;
      await navigator.clipboard.writeText([place, head.message, head.remedy, '', head.details].join('\n'));
    },
  },
];

function silent(head) {
  const wait = {
    label: 'Wait',
    act: () => {
      quietUntil = Date.now() + PATIENT;
      sure = false;
    },
  };
  const title = `No sign from the trainer for ${seconds(head.silent_for)}.`;
  if (head.watched) return { tone: 'warn', title, text: 'Charts stay. It is driven elsewhere.', acts: [wait] };
  if (sure) return { tone: 'warn', title, text: `End its process? ${head.saved_at ? `Saved at ${head.saved_at}; what came after is made anew when it resumes.` : 'Nothing is saved yet: it would begin anew.'}`, acts: [wait, { label: 'End it now', act: endNow }] };
  const end = {
    label: 'End it',
    act: () => {
      sure = true;
    },
  };
  return { tone: 'warn', title, text: 'Charts stay.', acts: [wait, end] };
}

/** Paused by an alarm or by a full disk. */
function paused(head) {
  const split = head.message.indexOf('. ') + 1;
  const [title, text] = split ? [head.message.slice(0, split), head.message.slice(split + 1)] : [head.message, ''];
  const acts = head.watched ? [] : [{ label: 'Resume', act: () => command({ kind: 'resume' }) }, ...offers()];
  const back = acts.find((a) => a.after); // here is the room to say it before it is pointed at
  return { tone: 'warn', title, text: back ? `${text} ${back.label}: ${back.title[0].toLowerCase()}${back.title.slice(1)}` : text, acts };
}

/** "Loading the model", and after five seconds for how long. */
function waiting(head) {
  const said = head.message || 'Starting the trainer';
  if (since.words !== said) Object.assign(since, { words: said, at: Date.now() });
  const passed = Date.now() - since.at;
  return head.total || passed < SLOW ? said : `${said}, ${Math.round(passed / 1000)} s`;
}
