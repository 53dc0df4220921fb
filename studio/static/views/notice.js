// What a person must know about the run: loading, failing, no run. Floats over the map, so that nothing moves.

import { h, say, $ } from '../lib/dom.js';
import { state, on, post, runPath, poll } from '../lib/store.js';
import { endNow } from './strip.js';

export function notice(root) {
  root.setAttribute('role', 'status');
  const title = h('b', {}),
    text = h('p', {}),
    bar = h('span', { class: 'bar' }, h('i', {})),
    details = h('details', {}, h('summary', {}, 'Details'), h('pre', {}));
  const button = (label, action) => h('button', { class: 'btn sm', onclick: action }, label);
  const resume = button('Resume', go('resume')),
    end = button('End it', endNow),
    copy = button('Copy report', () => navigator.clipboard.writeText(report()));
  const open = button('Open Setup', () => window.manymodes.show('setup'));
  root.append(title, text, bar, details, h('div', { class: 'acts' }, resume, end, copy, open));

  function draw() {
    const head = state.head,
      shown = head ? words(head) : { tone: 'calm', title: 'No run yet.', text: 'Start one in Setup.', open: true };
    root.hidden = !shown;
    if (!shown) return;
    root.className = `mm-notice ${shown.tone || ''}`;
    say(title, shown.title);
    say(text, shown.text || '');
    bar.hidden = shown.share == null;
    bar.firstChild.style.width = `${100 * (shown.share ?? 0)}%`;
    details.hidden = !shown.details;
    say($('pre', details), shown.details || '');
    resume.hidden = !shown.resume;
    say(resume, head?.saved_at ? `Resume from ${head.saved_at}` : 'Start again');
    end.hidden = !shown.end;
    copy.hidden = !shown.details;
    open.hidden = !shown.open;
  }

  function report() {
    const head = state.head;
    const place = `${head.name}: ${head.word} at iteration ${head.iteration} of ${head.iterations}`;
    return [place, head.message, head.remedy, '', head.details].join('\n');
  }
  on('head run runs', draw);
  draw();
}

const go = (what) => async () => {
  try {
    await post(runPath(what));
  } catch (problem) {
    alert(problem.message);
  }
  poll();
};

function words(head) {
  if (head.state === 'failed')
    return { tone: 'bad', title: head.message || 'The trainer failed.', text: head.remedy, details: head.details, resume: true };
  if (head.state === 'died') return { tone: 'bad', title: head.message, text: head.remedy, details: head.details, resume: true };
  if (head.state === 'silent')
    return { tone: 'warn', title: `No sign from the trainer for ${head.silent_for} s.`, text: head.remedy, end: true };
  if (head.alive && head.newest < 0) {
    const what = head.message || 'Starting the trainer';
    return { tone: 'calm', title: what, share: head.total ? head.done / head.total : null };
  }
  return null;
}
