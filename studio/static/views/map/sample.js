// Sample now: asks the trainer for pictures with the weights of this moment, and waits until they are there.

import { h, icon, say } from '../../lib/dom.js';
import { command, get, on, runPath, state } from '../../lib/store.js';
import { turnable } from '../dials/turning.js';

/** {node, shown(), clear()}: the button, and the answer {iteration, prompt, pictures} while it is on show. `changed()` after each change. */
export function sampler(changed, told) {
  const word = h('span', {}, 'Sample now');
  const node = h('button', { class: 'btn sm', id: 'mm-sample', onclick: ask }, icon('camera', 14), word);
  let shown = null; // {run, command, iteration, prompt, pictures}
  /** {prompt, command, done} of a run: what was asked for, until it is cleared; a reload of the page does not forget it. */
  const keyOf = (run) => `manymodes.sample.${run}`;
  const asked = () => JSON.parse(sessionStorage.getItem(keyOf(state.run)));
  const note = (run, what) => (what ? sessionStorage.setItem(keyOf(run), JSON.stringify(what)) : sessionStorage.removeItem(keyOf(run)));
  const waits = () => asked()?.done === false;

  async function ask() {
    const { run, prompt } = state;
    try {
      const answer = await command({ kind: 'sample', prompt });
      note(run, { prompt, command: answer.command, done: false });
      told(state.head?.state === 'paused' ? 'Paused: samples once it resumes.' : 'Samples after this step.');
    } catch (problem) {
      told(problem.message);
    }
    draw();
  }

  async function look() {
    draw();
    const { run } = state,
      mine = asked();
    if (!mine || mine.command === shown?.command) return;
    // a run of the same name that was made anew knows nothing of it
    const answer = await get(runPath(`sampled/${mine.command}`)).catch((problem) => (problem.status === 400 ? { answer: problem.message } : null));
    if (!answer?.answer || run !== state.run || asked()?.command !== mine.command || mine.command === shown?.command) return;
    if (answer.answer === 'ok') {
      shown = { ...answer, ...mine, run };
      note(run, { ...mine, done: true });
      if (!mine.done) told(`Pictures with the weights after iteration ${answer.iteration}.`);
      changed();
    } else {
      note(run, null);
      if (!mine.done) told(answer.answer);
    }
    draw();
  }

  function draw() {
    const able = turnable() && state.head.newest >= 0;
    node.disabled = !able || waits();
    node.title = able ? 'Pictures with the weights of this moment  G' : state.head?.watched ? 'This run is driven elsewhere.' : 'Needs a trainer. Start or resume the run.';
    say(word, waits() ? 'Sampling' : 'Sample now');
  }
  function clear() {
    if (!waits()) note(state.run, null);
    shown = null;
    changed();
  }
  on('head', look);
  on('run', () => {
    if (shown && shown.run !== state.run && JSON.parse(sessionStorage.getItem(keyOf(shown.run)))?.done) note(shown.run, null); // left on purpose
    shown = null;
    draw();
  });
  draw();
  return { node, shown: () => shown, clear };
}
