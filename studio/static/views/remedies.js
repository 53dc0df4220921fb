// What helps a run that narrows: raise the bonus, roll back as a branch, pause. One row of fixed height; in good times it says the alarm's lines.

import { h, fixed, plain, diamond, svg } from '../lib/dom.js';
import { state, on, command, following, listRuns, openRun, poll, post, runPath } from '../lib/store.js';
import { tip } from '../lib/tip.js';

/** Go on from the newest checkpoint, with `changes` of settings or dials. */
export async function goOn(changes = {}) {
  await post(runPath('resume'), { changes });
  await poll();
}

/** Go on from checkpoint `at` in a new run, which opens; the run that is open stops and keeps everything. */
export async function rollBack(at, changes = {}) {
  const { run, waits } = await post(runPath('branch'), { from: at, changes });
  await listRuns();
  openRun(run);
  if (waits) throw new Error(waits);
}

/** {label, title, act, after} of each remedy that can be used now; `after`: words that stand behind its button where there is room. */
export function offers() {
  const { head } = state,
    help = head?.narrowing;
  if (!help || head.watched || head.state === 'replay') return [];
  const ended = !head.alive,
    found = [];
  if (help.beta !== null && help.turned === null && (head.alive || head.iteration < head.iterations))
    found.push({
      label: ended ? `Resume with β ${fixed(help.beta)}` : `Raise β to ${fixed(help.beta)}`,
      title: 'Pays more for rare looks, from the next iteration on. A change shows within about 25 iterations.',
      act: () => raise(help.beta),
    });
  if (help.back !== null && help.back < head.iteration && (head.verdict === 'Collapsing' || head.alarms.length))
    found.push({
      label: `Roll back to ${help.back}${found.length || help.beta === null ? '' : ` with β ${fixed(help.beta)}`}`,
      title: `Makes a new run, ${help.branch}, that goes on from iteration ${help.back}${help.beta === null ? '' : ` with β ${fixed(help.beta)}`}. ${
        help.back
      } is the last saved iteration where variety was healthy. ${head.name} ${ended ? 'is' : 'stops and is'} kept as it is.`,
      after: 'in a new run',
      act: () => rollBack(help.back, help.beta === null ? {} : { creative_beta: help.beta }),
    });
  if (head.state === 'running') found.push({ label: 'Pause', title: 'Wait after this step  Space', act: () => command({ kind: 'pause' }) });
  return found;
}

async function raise(beta) {
  if (!state.head.alive) return goOn({ creative_beta: beta });
  await command({ kind: 'set', changes: { creative_beta: beta } });
  if (state.head.state === 'paused') await command({ kind: 'resume' });
  return undefined;
}

/** A button that tells `words` before it does `act`, says `busy` meanwhile and hands a refusal to `tell`. */
export function deed(label, words, act, tell, busy = label) {
  const button = h('button', { class: 'btn sm' }, label);
  if (words) tip(button, words);
  button.addEventListener('click', async () => {
    button.disabled = true;
    button.textContent = busy;
    try {
      await act();
    } catch (problem) {
      tell(problem.message.replace(/^\w+: /, ''));
    }
    button.disabled = false;
    button.textContent = label;
  });
  return button;
}

export function remedies(row) {
  let shown = '',
    wrong = '';
  on('run', () => {
    wrong = '';
  });
  on('head run view', draw);

  function draw() {
    const key = JSON.stringify([
      state.run,
      following(),
      wrong,
      note(),
      offers().map((o) => o.label),
      state.head?.lines,
      Boolean(state.head?.narrowing),
    ]);
    if (key === shown) return;
    shown = key;
    row.replaceChildren(...content());
  }

  function content() {
    if (!state.head || !following()) return [];
    if (wrong) return [h('span', { class: 'wrong', role: 'alert', title: wrong }, wrong)];
    const buttons = offers().flatMap((o) => [
      deed(o.label, o.title, o.act, tell, o.label.startsWith('Roll') ? 'Rolling back' : o.label),
      ...(o.after ? [h('span', { class: 'note after' }, o.after)] : []),
    ]);
    const said = note();
    if (said) buttons.unshift(h('span', { class: 'note' }, svg(9, 9, `<path d="${diamond(4.5, 4.5, 3.4)}" fill="none" stroke="currentColor"/>`), said));
    return buttons.length ? buttons : [h('span', { class: 'note' }, lines())];
  }

  function tell(sentence) {
    wrong = sentence;
    draw();
    setTimeout(() => {
      wrong = '';
      draw();
    }, 8000);
  }
  draw();
}

/** What became of a raised bonus: it waits, or it has yet to show. */
function note() {
  const { head } = state;
  if (!head?.narrowing) return '';
  const waits = head.waiting.find((c) => c.kind === 'set' && 'creative_beta' in c.changes);
  if (waits) return `β ${fixed(waits.changes.creative_beta)} from iteration ${head.iteration + 1}`;
  return head.narrowing.turned === null ? '' : `β raised at ${head.narrowing.turned}: wait until ${head.narrowing.turned + 25}`;
}

function lines() {
  const { warn, pause } = state.head.lines,
    base = state.rows.at(-1)?.base;
  const line = (percent, of = '') => `${plain(percent)} %${of}${base ? ` (${fixed((base * percent) / 100, 1)})` : ''}`;
  const said = [warn !== null && `Warns below ${line(warn, ' of the base')}`, pause !== null && `pauses below ${line(pause)}`].filter(Boolean).join(', ');
  return said ? `${said[0].toUpperCase()}${said.slice(1)}.` : 'No alarm is set.';
}
