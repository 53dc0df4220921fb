// A second run beside the one that is open: which one, and its rows. Remembered in this browser.

import { h, plain } from '../../lib/dom.js';
import { state, on, get, listRuns } from '../../lib/store.js';

const STORED = 'manymodes.second';
const EVERY = 5000; // milliseconds between two looks at a second run that still trains
const at = (name, rest) => `/api/runs/${encodeURIComponent(name)}/${rest}`;

/** The second run: {name, label, rows}, or null. */
export let second = null;

/** A list in which to choose it; `changed()` is called when there is something new to draw. */
export function secondPicker(changed) {
  const list = h('select', { class: 'sel', 'aria-label': 'A second run in this chart', title: 'A second run in this chart', onchange: () => choose(list.value), onfocus: listRuns });
  let shown = '',
    looked = 0;

  function draw() {
    const names = state.runs.map((r) => r.name).filter((name) => name !== state.run);
    const key = JSON.stringify(names);
    if (key !== shown) {
      shown = key;
      list.replaceChildren(h('option', { value: '' }, 'Second run'), ...names.map((name) => h('option', { value: name }, name)));
    }
    list.hidden = !names.length;
    list.value = second && names.includes(second.name) ? second.name : '';
  }

  async function choose(name) {
    if (name) localStorage.setItem(STORED, name);
    else localStorage.removeItem(STORED);
    second = null;
    if (name && name !== state.run) await load(name);
    draw();
    changed();
  }

  async function load(name) {
    try {
      const { config } = await get(at(name, 'info'));
      second = { name, label: `${name}, β ${plain(config.creative_beta)}`, epoch: null, rows: [] };
      await more();
    } catch {
      second = null; // it is gone, or cannot be read: the list stays without a choice
    }
  }

  async function more() {
    const run = second;
    looked = Date.now();
    for (let page = null; !page || page.more;) {
      page = await get(at(run.name, `series?since=${run.rows.at(-1)?.iteration ?? -1}`));
      if (run.epoch !== null && page.epoch !== run.epoch) run.rows = [];
      run.epoch = page.epoch;
      run.rows.push(...page.rows);
    }
  }

  on('runs', draw);
  on('run', () => {
    const name = localStorage.getItem(STORED);
    if (name === state.run || !name) second = null;
    else if (second?.name !== name) load(name).then(draw).then(changed);
    draw();
  });
  on('rows', async () => {
    const lives = second && state.runs.find((r) => r.name === second.name)?.alive;
    if (!lives || state.screen !== 'live' || Date.now() - looked < EVERY) return;
    await more().catch(() => {});
    changed();
  });
  draw();
  return list;
}
