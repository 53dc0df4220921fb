// Numbers in the strip: how far, how long, how much memory.

import { $, giga, h, percent, say, seconds } from '../../lib/dom.js';
import { state } from '../../lib/store.js';

const PHASES = [
  ['rollout', 'Make'],
  ['decode', 'Decode'],
  ['reward', 'Score'],
  ['diversity', 'Find looks'],
  ['update', 'Learn'],
  ['write', 'Write down'],
];
const NEARLY_FULL = 0.9;

export function stats() {
  const all = {
    iteration: stat('iteration', 'Iteration', true),
    left: stat('left', 'Time left'),
    pace: stat('pace', 'Per iteration'),
    memory: stat('memory', 'Memory', true),
  };

  function put(id, big, small = '', share = null, title = '') {
    const box = all[id];
    say($('b', box), big);
    say($('small', box), small);
    if (share !== null) $('.bar i', box).style.width = `${(100 * share).toFixed(1)}%`;
    box.title = title;
    box.hidden = !big;
  }

  function draw(head) {
    if (!head || state.replay) {
      for (const id of Object.keys(all)) put(id, '');
      return;
    }
    put('iteration', String(head.iteration), `of ${head.iterations}`, head.iterations ? head.iteration / head.iterations : 0);
    $('b', all.iteration).style.minWidth = `${String(head.iterations).length}ch`; // a tenth iteration must not push what follows
    put('left', head.alive && head.left != null && head.iteration ? seconds(head.left) : '');
    const parts = PHASES.filter(([n]) => head.phases[n] != null).map(([n, w]) => `${w} ${seconds(head.phases[n])}`);
    put('pace', head.pace == null ? '' : seconds(head.pace), '', null, parts.join(', '));
    const full = head.memory_total ? head.memory_used / head.memory_total : 0,
      tight = full > NEARLY_FULL;
    const small = `of ${giga(head.memory_total)} GB${tight ? ', nearly full' : ''}`;
    put('memory', head.memory_used ? giga(head.memory_used) : '', small, full, `${head.device || ''}, ${percent(full)} used`);
    all.memory.classList.toggle('warn', tight);
  }
  return { box: h('div', { class: 'stats' }, Object.values(all)), draw };
}

function stat(id, label, bar = false) {
  return h(
    'div',
    { class: 'stat', id: `mm-${id}` },
    h('label', {}, label),
    h('div', {}, h('b', {}), h('small', {}), bar && h('span', { class: 'bar' }, h('i', {}))),
  );
}
