// Sample now: asks the trainer for pictures with the weights of this moment, and waits until they are there.

import { h, icon, say } from '../../lib/dom.js';
import { command, get, on, runPath, state } from '../../lib/store.js';

/** {node, shown(), clear()}: the button, and the answer {iteration, prompt, pictures} while it is on show. `changed()` after each change. */
export function sampler(changed, told) {
  const word = h('span', {}, 'Sample now');
  const node = h('button', { class: 'btn sm', id: 'mm-sample', onclick: ask }, icon('camera', 14), word);
  let asked = null; // {run, prompt, command}
  let shown = null;

  async function ask() {
    const { run, prompt } = state;
    try {
      const answer = await command({ kind: 'sample', prompt });
      asked = { run, prompt, command: answer.command };
      told(state.head?.state === 'paused' ? 'The trainer is paused. Resume it, then it samples.' : 'Asked. The trainer samples after the step under way.');
    } catch (problem) {
      told(problem.message);
    }
    draw();
  }

  async function look() {
    draw();
    if (!asked) return;
    const answer = await get(runPath(`sampled/${asked.command}`)).catch(() => null);
    if (!answer?.answer || !asked) return;
    const { prompt } = asked;
    asked = null;
    if (answer.answer === 'ok') {
      shown = { ...answer, prompt };
      told(`Pictures with the weights after iteration ${answer.iteration}.`);
      changed();
    } else told(answer.answer);
    draw();
  }

  function draw() {
    const able = Boolean(state.head?.alive) && state.head.newest >= 0;
    node.disabled = !able || asked !== null;
    node.title = able ? 'Pictures with the weights of this moment  G' : 'Needs a trainer. Start or resume the run.';
    say(word, asked ? 'Sampling' : 'Sample now');
  }
  function clear() {
    shown = null;
    changed();
  }
  on('head', look);
  on('run', () => {
    asked = shown = null;
    draw();
  });
  draw();
  return { node, shown: () => shown, clear };
}
