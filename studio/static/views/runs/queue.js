// The queue: runs that start one after another. Order by dragging, by the arrow buttons, or by Alt with an arrow key.

import { $, h, icon, say } from '../../lib/dom.js';
import { holdQueue, leaveQueue, orderQueue } from './actions.js';

export function queueList() {
  const list = h('ol', { 'aria-label': 'Queue' });
  const told = h('span', { class: 'sr', 'aria-live': 'polite' });
  const hold = h('button', { class: 'btn sm', onclick: () => holdQueue(!queue.held) }, '');
  const node = h('section', { class: 'queue', hidden: true, 'aria-label': 'Queue' }, h('div', { class: 'qhd' }, h('h2', {}, 'Queue'), h('span', { class: 'sub' }), hold), list, told);
  let queue = { runs: [], held: false, reason: '' },
    dragged = null;

  function update(known) {
    queue = known.queue;
    node.hidden = !queue.runs.length;
    const busy = known.runs.find((r) => r.alive && !r.watched);
    say($('.sub', node), queue.held ? queue.reason || 'Held: nothing more starts.' : busy ? `Next after ${busy.name}.` : 'The first one starts now.');
    say(hold, queue.held ? 'Let it go on' : 'Hold');
    const key = JSON.stringify(queue.runs);
    if (list.dataset.key === key || dragged) return;
    list.dataset.key = key;
    const focus = list.contains(document.activeElement) ? [document.activeElement.closest('li').dataset.run, document.activeElement.className] : null;
    list.replaceChildren(...queue.runs.map(item));
    if (focus) {
      const place = list.querySelector(`[data-run="${CSS.escape(focus[0])}"]`);
      (place?.querySelector(`button[class="${focus[1]}"]:not(:disabled)`) ?? place?.querySelector('button:not(:disabled)'))?.focus();
    }
  }

  function move(name, to) {
    const rest = queue.runs.filter((n) => n !== name),
      place = Math.max(0, Math.min(rest.length, to));
    const order = [...rest.slice(0, place), name, ...rest.slice(place)];
    if (order.join() === queue.runs.join()) return;
    say(told, `${name} is now ${place + 1} of ${order.length}.`);
    orderQueue(order);
  }

  function item(name, i) {
    const arrow = (kind, by, words) =>
      h('button', { class: `mv ${kind}`, 'aria-label': `${words} ${name}`, title: `${words}  Alt ${by < 0 ? '↑' : '↓'}`, disabled: queue.runs[i + by] === undefined, onclick: () => move(name, i + by) }, icon('chevron', 14));
    const node = h(
      'li',
      {
        'data-run': name,
        draggable: 'true',
        onkeydown: (event) => {
          const by = event.altKey && { ArrowUp: -1, ArrowDown: 1 }[event.key];
          if (!by) return;
          event.preventDefault();
          event.stopPropagation();
          move(name, i + by);
        },
        ondragstart: (event) => {
          dragged = name;
          event.dataTransfer.effectAllowed = 'move';
          event.dataTransfer.setData('text/plain', name);
          node.classList.add('dragged');
        },
        ondragend: () => {
          dragged = null;
          for (const one of list.children) one.classList.remove('dragged', 'before', 'after');
        },
        ondragover: (event) => {
          if (!dragged || dragged === name) return;
          event.preventDefault();
          const low = below(event, node);
          node.classList.toggle('after', low);
          node.classList.toggle('before', !low);
        },
        ondragleave: () => node.classList.remove('before', 'after'),
        ondrop: (event) => {
          event.preventDefault();
          const rest = queue.runs.filter((n) => n !== dragged);
          const [taken, place] = [dragged, rest.indexOf(name) + (below(event, node) ? 1 : 0)];
          dragged = null;
          if (taken) move(taken, place);
        },
      },
      h('span', { class: 'grip', 'aria-hidden': 'true' }, '⠿'),
      h('span', { class: 'nr' }, String(i + 1)),
      h('span', { class: 'name' }, name),
      arrow('up', -1, 'Earlier'),
      arrow('down', 1, 'Later'),
      h('button', { class: 'mv out', 'aria-label': `Take ${name} out of the queue`, title: 'Take out of the queue', onclick: () => leaveQueue(name) }, icon('cross', 14)),
    );
    return node;
  }

  return { node, update };
}

function below(event, node) {
  const place = node.getBoundingClientRect();
  return event.clientY > place.top + place.height / 2;
}
