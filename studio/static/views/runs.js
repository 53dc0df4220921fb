// The Runs screen: every run newest first, the queue on top, and the fronts of those that are ticked.

import { $, h, say } from '../lib/dom.js';
import { state, on, get } from '../lib/store.js';
import { screen, restore } from './runs/actions.js';
import { askDelete, askExport, askWatch } from './runs/dialogs.js';
import { finder } from './runs/find.js';
import { fronts } from './runs/fronts.js';
import { box } from './runs/matched.js';
import { queueList } from './runs/queue.js';
import { bytes, makeRow } from './runs/row.js';

const EVERY = 2000; // milliseconds between looks while the screen is open
const TICKED = 'manymodes.chart';
const MOST = 6; // runs in the figure

export function runs(root) {
  const list = h('ul', { class: 'list', 'aria-label': 'Runs' });
  const find = finder(() => draw());
  const none = h('p', { class: 'empty', hidden: true }, 'No run matches. ', h('button', { class: 'btn sm', onclick: () => find.clear() }, 'Show all'));
  const more = h('p', { class: 'empty', hidden: true });
  const heads = h('div', { class: 'run heads', 'aria-hidden': 'true' }, ...['', 'Path', 'Run', 'State', 'Now', 'Started', ''].map((word) => h('div', {}, word)));
  const empty = h('p', { class: 'empty', hidden: true }, 'Runs you start are kept here.');
  const shelf = h('details', { class: 'shelf', hidden: true }, h('summary', {}), h('ul', {}));
  const foot = h('div', { class: 'foot', role: 'status' }, h('span', {}), h('button', { class: 'btn sm', hidden: true }, 'Undo'));
  const queue = queueList();
  const aside = h('aside', { class: 'right', 'aria-label': 'Fronts of the ticked runs' });
  root.append(
    h(
      'section',
      { class: 'left', 'aria-label': 'Runs' },
      h(
        'div',
        { class: 'top' },
        h('h1', {}, 'Runs'),
        h('span', { class: 'sub count', role: 'status' }, h('span', {}), h('span', { class: 'rest' })),
        find.node,
        h('button', { class: 'btn watch', onclick: askWatch, title: 'Show a run of another machine, read only' }, 'Watch a folder'),
      ),
      queue.node,
      h('div', { class: 'scroll' }, heads, list, empty, none, more, shelf),
      foot,
    ),
    aside,
  );

  const rows = new Map(); // name -> row
  let known = null,
    asked = 0;
  let ticked = JSON.parse(sessionStorage.getItem(TICKED) || '[]');
  const chart = {
    ticked: (name) => ticked.includes(name),
    place: (name) => ticked.indexOf(name),
    full: () => ticked.length >= MOST,
    toggle(name) {
      if (!ticked.includes(name) && ticked.length >= MOST) return;
      ticked = ticked.includes(name) ? ticked.filter((n) => n !== name) : [...ticked, name];
      sessionStorage.setItem(TICKED, JSON.stringify(ticked));
      draw();
    },
  };
  const figure = fronts(aside, chart);

  async function refresh() {
    const turn = ++asked;
    const found = await get('/api/runs/all').catch(() => null); // a lost server has its own band on top
    if (!found || turn !== asked) return;
    known = found;
    ticked = ticked.filter((name) => found.runs.some((r) => r.name === name && r.path?.length));
    draw();
  }

  function draw() {
    if (!known) return;
    const paths = known.runs.flatMap((r) => [...(r.path ?? []), ...(r.base ? [r.base] : [])]);
    const axes = paths.length ? box(paths) : null;
    const shown = find.arranged(known.runs),
      kept = new Set(shown.map((r) => r.name)),
      there = new Set(known.runs.map((r) => r.name));
    for (const [name, row] of rows) {
      if (!kept.has(name)) row.node.remove();
      if (!there.has(name)) rows.delete(name);
    }
    shown.forEach((run, i) => {
      if (!rows.has(run.name)) rows.set(run.name, makeRow(run, chart));
      const row = rows.get(run.name);
      row.update(run, axes);
      if (list.children[i] !== row.node) list.insertBefore(row.node, list.children[i] ?? null);
    });
    empty.hidden = known.runs.length > 0;
    heads.hidden = !shown.length;
    none.hidden = !known.runs.length || shown.length > 0;
    more.hidden = !known.left_out;
    say(more, known.left_out ? `${known.left_out} older runs are not listed. Archive what you are done with.` : '');
    const [number, size] = $('.count', root).children;
    say(number, known.runs.length ? `${find.narrowed() ? `${shown.length} of ` : ''}${known.runs.length}` : '');
    say(size, known.runs.length ? ` ${known.runs.length === 1 ? 'run' : 'runs'}, ${bytes(shown.reduce((sum, r) => sum + r.size, 0))}` : '');
    queue.update(known);
    drawShelf();
    figure.update(known.runs.filter((r) => chart.ticked(r.name)).sort((a, b) => chart.place(a.name) - chart.place(b.name)));
  }

  function drawShelf() {
    const key = JSON.stringify(known.archived);
    shelf.hidden = !known.archived.length;
    if (shelf.dataset.key === key) return;
    shelf.dataset.key = key;
    say($('summary', shelf), `Archived (${known.archived.length})`);
    $('ul', shelf).replaceChildren(
      ...known.archived.map((run) =>
        h(
          'li',
          {},
          h('span', { class: 'name' }, run.name),
          h('span', { class: 'sub' }, bytes(run.size)),
          h('button', { class: 'btn sm', 'aria-label': `Restore ${run.name}`, onclick: () => restore(run.name) }, 'Restore'),
          h('button', { class: 'btn sm ghost', 'aria-label': `Delete ${run.name}`, onclick: () => askDelete(run, true) }, 'Delete'),
        ),
      ),
    );
  }

  let quiet = null;
  screen.refresh = refresh;
  screen.ask = { delete: askDelete, export: askExport };
  screen.say = (words, tone = '', undo = null) => {
    clearTimeout(quiet);
    foot.className = `foot ${tone}`;
    say($('span', foot), words);
    const button = $('button', foot);
    button.hidden = !undo;
    button.onclick = () => {
      screen.say('');
      undo();
    };
    if (words && !undo) quiet = setTimeout(() => screen.say(''), 8000);
  };

  on('screen', () => state.screen === 'runs' && refresh());
  setInterval(() => state.screen === 'runs' && !document.hidden && refresh(), EVERY);
  if (state.screen === 'runs') refresh();
}
